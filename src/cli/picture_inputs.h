// The pictures that are named on a command line, to be packed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codec/coded_file.h"
#include "combiner/dataset.h"
#include "combiner/image.h"

namespace combiner {

// Pictures, folders of pictures, CIFAR-10's .bin files and npz files, one after the other.
class PictureInputs {
 public:
  // Reads all pictures once to learn their sizes. Throws Error if one can't be read or two have one
  // name, and Interrupted once `interrupted`. Names are relative to the folder that was named; a
  // single picture has its own. If some pictures have no name or label, none keeps it, which is
  // said.
  PictureInputs(const std::vector<std::string>& paths, const std::atomic<bool>& interrupted);

  const std::vector<CodedPicture>& pictures() const { return pictures_; }

  // Throws Error if the picture can't be read or has changed.
  Image read(size_t index) const;

 private:
  void add_files(const std::string& folder, std::vector<std::string> names,
                 const std::atomic<bool>& interrupted);
  void add_images(std::unique_ptr<Dataset> images);
  void drop_what_some_lack();
  void require_different_names() const;

  // Where a picture comes from: a file, or an image of a data set.
  struct Source {
    std::string path;
    const Dataset* images = nullptr;
    int64_t index = 0;
  };

  std::vector<std::unique_ptr<Dataset>> data_sets_;
  std::vector<Source> sources_;
  std::vector<CodedPicture> pictures_;
};

}  // namespace combiner
