// Pictures of any size to the streams of a file and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "codec/coded_file.h"
#include "codec/image_coder.h"
#include "combiner/image.h"
#include "combiner/model.h"

namespace combiner {

// The header of files that are made with the model here. `name` and `sha256` are the weights
// file's.
CodedHeader header_for(const Model& model, std::string name, std::string sha256);

// Cuts the pictures 0 .. count - 1 that `read` returns in tiles of the model's size, and gives
// their streams to `write`, in order. Returns false if asked to end. What read() and write() throw
// passes through.
bool encode_pictures(size_t count, const std::function<Image(size_t picture)>& read,
                     ImageCoder& coder, const std::function<void(std::vector<uint8_t>)>& write,
                     const CodingEvents& events = {});

// Decodes these pictures of the file, and calls `done` with each in its turn: one without pixels if
// it is damaged. Returns false if asked to end, after those that were finished. Throws Error if the
// streams are not of the model's size. What done() throws passes through. That model and kernels
// are those of the header is up to the caller: with others, all pictures seem damaged.
bool decode_pictures(CodedFile& file, std::span<const size_t> pictures, ImageCoder& coder,
                     const std::function<void(size_t picture, const Image&)>& done,
                     const CodingEvents& events = {});

}  // namespace combiner
