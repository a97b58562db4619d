#include "image/imgcodecs.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <opencv2/imgcodecs.hpp>
#include <string>
#include <type_traits>

#include "combiner/error.h"
#include "image/check_size.h"

namespace combiner {
namespace {

// The mangled names in load() belong to functions of exactly these types.
static_assert(std::is_same_v<decltype(static_cast<decltype(ImageCodecs::imdecode)>(&cv::imdecode)),
                             decltype(ImageCodecs::imdecode)>);

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function) throw Error(fmt::format("can't read images: {}", dlerror()));
}

ImageCodecs load() {
  // OpenCV asks for a picture's memory before it looks whether the file has any pixels. It reads
  // its limit when it is loaded.
  ::setenv("OPENCV_IO_MAX_IMAGE_PIXELS", std::to_string(most_pixels()).c_str(), 0);
  // Load the version that the program was built with. Never unload it: its dependencies may not
  // survive that.
  void* library = dlopen(COMBINER_IMGCODECS, RTLD_LAZY | RTLD_LOCAL);
  if (!library)
    throw Error(fmt::format("can't read images: {}; is OpenCV's imgcodecs installed?", dlerror()));
  ImageCodecs codecs;
  find(library, "_ZN2cv8imdecodeERKNS_11_InputArrayEi", codecs.imdecode);
  return codecs;
}

}  // namespace

const ImageCodecs& image_codecs() {
  static const ImageCodecs codecs = load();
  return codecs;
}

}  // namespace combiner
