// Packing pictures in bytes, as combiner compress and decompress do.
#include <fmt/format.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <numeric>
#include <string_view>

#include "arrays.h"
#include "codec/coded_file.h"
#include "codec/coded_pictures.h"
#include "combiner/error.h"
#include "image/check_size.h"
#include "models.h"
#include "module.h"
#include "watched.h"

namespace combiner {
namespace py = pybind11;
namespace {

CodingEvents events_for(Watched& watched) {
  return {.row_done = [&watched] { watched.add_done(); }, .cancel = watched.cancel()};
}

// The rows of the model's height that all streams have.
int64_t rows_of(std::span<const CodedPicture> pictures, const CodedHeader& header) {
  int64_t streams = 0;
  for (const CodedPicture& picture : pictures) streams += streams_of(picture, header);
  return std::max<int64_t>(1, streams * header.height);
}

// `arrays` are pictures [height, width, 3] of any sizes.
py::bytes compress(const std::vector<ByteArray>& arrays, Models& models, const std::string& name,
                   const std::string& sha256, const std::string& precision, py::object progress) {
  const Model& model = models.at(precision_called(precision));
  const CodedHeader header = header_for(model, name, sha256);
  std::vector<CodedPicture> pictures;
  std::vector<const uint8_t*> pixels;
  for (const ByteArray& array : arrays) {
    check_shape(array, "a picture", {-1, -1, 3});
    check_size(array.shape(1), array.shape(0), "the picture");
    pictures.push_back(
        {static_cast<int>(array.shape(1)), static_cast<int>(array.shape(0)), {}, {}});
    pixels.push_back(array.data());
  }
  std::string bytes;
  Watched watched(std::move(progress), rows_of(pictures, header));
  watched.run([&] {
    CodedFileWriter writer(
        header, [&](std::span<const uint8_t> more) { bytes.append(more.begin(), more.end()); });
    ImageCoder coder(model, {batch_for(model, models.threads()), models.threads()});
    const auto read = [&](size_t i) {
      return image_of(pixels[i], pictures[i].width, pictures[i].height);
    };
    const auto write = [&](std::vector<uint8_t> stream) { writer.add(std::move(stream)); };
    if (encode_pictures(pictures.size(), read, coder, write, events_for(watched)))
      writer.finish(pictures);
  });
  return bytes;
}

// Where the decoded pictures go: one array if they have one size, else a list of arrays.
struct Unpacked {
  explicit Unpacked(const CodedFile& file) {
    const std::vector<CodedPicture>& pictures = file.pictures();
    const auto n = static_cast<py::ssize_t>(pictures.size());
    const py::ssize_t height = pictures.empty() ? file.header().height : pictures[0].height;
    const py::ssize_t width = pictures.empty() ? file.header().width : pictures[0].width;
    const bool one_size = std::ranges::all_of(pictures, [&](const CodedPicture& picture) {
      return picture.height == height && picture.width == width;
    });
    if (one_size) {
      ByteArray array({n, height, width, py::ssize_t{3}});
      for (py::ssize_t i = 0; i < n; ++i)
        pixels.push_back(array.mutable_data() + i * height * width * 3);
      result = std::move(array);
    } else {
      py::list list;
      for (const CodedPicture& picture : pictures) {
        ByteArray array({py::ssize_t{picture.height}, py::ssize_t{picture.width}, py::ssize_t{3}});
        pixels.push_back(array.mutable_data());
        list.append(std::move(array));
      }
      result = std::move(list);
    }
  }

  py::object result;
  std::vector<uint8_t*> pixels;  // of each picture
};

py::object decompress(const py::bytes& data, Models& models, const std::string& name,
                      const std::string& sha256, py::object progress) {
  const std::string_view bytes(data);
  CodedFile file({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "the data");
  check_model(file, name, sha256, "load the model that it was made with");
  const Model& model = models.at(file.header().precision);
  const Unpacked unpacked(file);
  std::vector<size_t> all(file.pictures().size());
  std::iota(all.begin(), all.end(), size_t{0});
  const auto require = [&](size_t picture, bool whole) {
    if (!whole)
      throw Error(fmt::format("{}: damaged: picture {} of {}, counted from 0", file.source(),
                              picture, file.pictures().size()));
  };
  for (const size_t picture : all) require(picture, file.is_whole(picture));
  const auto done = [&](size_t picture, const Image& image) {
    require(picture, !image.pixels.empty());
    copy_pixels(image, unpacked.pixels[picture]);
  };
  Watched watched(std::move(progress), rows_of(file.pictures(), file.header()));
  watched.run([&] {
    ImageCoder coder(model, {batch_for(model, models.threads()), models.threads()});
    decode_pictures(file, all, coder, done, events_for(watched));
  });
  return unpacked.result;
}

}  // namespace

void bind_codec(py::module_& module) {
  module.def("compress", &compress);
  module.def("decompress", &decompress);
}

}  // namespace combiner
