// Where unpacked pictures go.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codec/coded_file.h"
#include "combiner/image.h"

namespace combiner {

class UnpackedPictures {
 public:
  virtual ~UnpackedPictures() = default;
  // Takes the pictures in their order; some may be left out.
  virtual void add(size_t index, const Image& picture) = 0;
  // Ends what is written. Throws Interrupted if that takes long and the program is interrupted.
  virtual void finish() {}
  // Whether those that were added are kept if finish() is not called.
  virtual bool keeps_unfinished() const { return false; }
};

enum class Unpacking { folder, cifar10, npz, tar };

// By the output's ending. Throws CLI::ValidationError if it is none of these.
Unpacking unpacking_of(const std::string& output);

// Prepares the output for the pictures of these indices; `pictures` and `interrupted` must outlive
// the result. Throws Error if it can't hold them or can't be written. Says what it lacks, and what
// else is in a folder.
std::unique_ptr<UnpackedPictures> unpack_to(const std::string& output,
                                            std::span<const CodedPicture> pictures,
                                            const std::vector<size_t>& indices,
                                            const std::atomic<bool>& interrupted);

}  // namespace combiner
