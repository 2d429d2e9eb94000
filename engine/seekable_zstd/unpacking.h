// What a zstd file holds, decoded from its beginning to its end.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <thread>

#include "base/aligned_buffer.h"
#include "base/progress.h"
#include "base/ranked_mutex.h"
#include "codec/zstd_stream.h"
#include "host/host_file.h"

namespace flatimg::seekable_zstd {

/// What is known of a file whose frames are too large to be decoded one by one.
struct Survey {
  std::uint64_t frames = 0;       // that hold something
  std::optional<ByteCount> size;  // of all together; nullopt when one does not state it
};
/// Walks the headers of all frames and blocks. Errors as FrameScan::next(), but for frames that are too large.
Result<Survey> survey(HostFile& packed);

struct UnpackLimits {
  ByteCount window;  // that a frame may need
  ByteCount size;    // of the disk
};

/// Gets what the file holds, piece by piece, in order; an error ends it.
using TakePiece = std::function<Result<void>(std::span<const std::byte> piece)>;

/// Decodes the whole file. CorruptImage or InvalidImage for a damaged or incomplete one, and where it does not hold the
/// size that `expected` says; Limit when it needs or holds more than the limits. Returns what it holds.
Result<ByteCount> unpack(HostFile& packed, const Survey& expected, UnpackLimits limits, const TakePiece& take,
                         const Progress& progress = {});

/// The same, for the size and the verdict only, with 64 MiB for a window.
Result<ByteCount> measure(HostFile& packed, const Survey& expected, const Progress& progress = {});

/// The same in the background, into a file, where zeroes become holes.
///
/// Invariants:
///   1. What lies below the mark that wait_for() returns is in the file.
///   2. Once it has failed nothing is there any more: a frame's checksum is known at its end only.
class Unpacking {
 public:
  /// Called now and then by the thread; an error ends the work.
  using CheckSpace = std::function<Result<void>()>;
  /// Called once, by the thread, when the file is complete and on stable storage.
  using Complete = std::function<void()>;

  /// Both files outlive this.
  Unpacking(HostFile& packed, HostFile& into, const Survey& expected, UnpackLimits limits, CheckSpace check_space,
            Complete complete);
  ~Unpacking();
  Unpacking(const Unpacking&) = delete;
  Unpacking& operator=(const Unpacking&) = delete;

  /// Returns when the byte at `at` is there, with the end of what is; or with the error that ended the work before.
  Result<HostOffset> wait_for(HostOffset at) EXCLUDES(mutex_);
  /// Returns when everything is there, with how much that is.
  Result<ByteCount> wait_for_end() EXCLUDES(mutex_);
  [[nodiscard]] ByteCount done() const { return ByteCount(done_.load(std::memory_order_acquire)); }

 private:
  void run();
  Result<ByteCount> unpack_all();
  Result<void> store(std::span<const std::byte> piece);

  HostFile& packed_;
  HostFile& into_;
  const Survey expected_;
  const UnpackLimits limits_;
  const CheckSpace check_space_;
  const Complete complete_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};
  Mutex mutex_{Rank::Queue};
  Condition changed_;
  std::optional<Result<ByteCount>> outcome_ GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses what is above
};

}  // namespace flatimg::seekable_zstd
