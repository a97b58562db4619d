// What one client may ask for, and what the server keeps.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace combiner {

// A request's parts, in bytes. docs/http.md names these numbers.
inline constexpr size_t kMaxHeadBytes = 8 * 1024;  // the request line and all headers
inline constexpr size_t kMaxTargetBytes = 1024;
inline constexpr size_t kMaxBodyBytes = 16 << 20;

// Connections, each with a thread that sleeps while it waits; further ones are answered with 503.
inline constexpr int kMaxConnections = 512;
// Of these, how many may follow events; they last.
inline constexpr int kMaxFollowers = 256;
inline constexpr int kMaxRequestsPerConnection = 1000;

// How long a client may take: until its next request, for all of a request's head, for all of its
// body, and to take some bytes of the answer.
inline constexpr std::chrono::seconds kIdleTime{30};
inline constexpr std::chrono::seconds kHeadTime{10};
inline constexpr std::chrono::seconds kBodyTime{60};
inline constexpr std::chrono::seconds kWriteTime{10};
inline constexpr std::chrono::seconds kFarewellTime{1};  // to hear the last of a client

// One job.
inline constexpr int64_t kMaxImagesPerJob = 256;
inline constexpr int64_t kMaxTilesPerJob = 1024;
// For the whole process: see limit_pixels().
inline constexpr int64_t kMaxPicturePixels = int64_t{1} << 24;

// Finished jobs that are kept for their results, the latest.
inline constexpr size_t kMaxFinishedJobs = 256;
inline constexpr size_t kMaxFinishedBytes = 128 << 20;

}  // namespace combiner
