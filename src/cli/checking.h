// What the user sees while a data set is checked.
#pragma once

#include <atomic>

#include "combiner/dataset.h"

namespace combiner {

// Show the progress of each file, or of the pictures of each folder, on the terminal. Throw
// Interrupted once `interrupted`, which must outlive them.
CheckingFile show_checking(const std::atomic<bool>& interrupted);
CheckingPictures show_checking_pictures(const std::atomic<bool>& interrupted);

}  // namespace combiner
