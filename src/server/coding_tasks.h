// Packing pictures and unpacking them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codec/coded_file.h"
#include "combiner/image.h"
#include "combiner/model.h"
#include "server/engine.h"
#include "server/job.h"

namespace combiner {

// The bytes of a file, opened.
struct OpenFile {
  // Throws TooLarge if it holds more than `most` pictures.
  OpenFile(std::vector<uint8_t> bytes_, std::string source, uint64_t most)
      : bytes(std::move(bytes_)), coded(bytes, std::move(source), most) {}

  const std::vector<uint8_t> bytes;
  CodedFile coded;
};

// The job's result becomes the file that combiner compress makes of these pictures, described by
// `described` in the same order.
void pack(Engine& engine, const Model& model, const std::shared_ptr<Job>& job,
          const CodedHeader& header, std::vector<CodedPicture> described,
          const std::vector<Image>& pictures);

// Image k of the job becomes picture k of the file.
void unpack(Engine& engine, const Model& model, const std::shared_ptr<Job>& job,
            const std::shared_ptr<OpenFile>& file);

}  // namespace combiner
