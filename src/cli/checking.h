// What the user sees while a data set is checked.
#pragma once

#include <atomic>

#include "combiner/dataset.h"

namespace combiner {

// Shows the progress of each file on the terminal. Throws Interrupted once `interrupted`, which
// must outlive it.
CheckingFile show_checking(const std::atomic<bool>& interrupted);

}  // namespace combiner
