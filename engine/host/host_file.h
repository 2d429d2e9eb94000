// THE seam: everything that flatimg does to a file of the host goes through these calls.
//
// Tests put a recorder, a fault injector or memory here; the real one is posix_file.h. Nothing above this room makes
// a system call on an image file.
//
// Contract of every implementation:
//   1. Any thread may call anything at any time. There is no file position.
//   2. A read beyond the end of the file yields zeroes: an image may end in the middle of a cluster.
//   3. A write, zero or resize that returned success is seen by every later read, and is on stable storage when a
//      barrier() that was called afterwards has returned success. Before that it may be lost or torn at 512 bytes.
//   4. A short write is an error, never a success.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/range.h"
#include "base/result.h"

namespace flatimg {

/// What happens to the host's space when bytes become zero.
enum class Space {
  Keep,     // stays reserved, so that writing there later cannot run out of space
  Release,  // given back where the host can do that
};

/// Names a file independently of its path.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

class HostFile {
 public:
  HostFile() = default;
  HostFile(const HostFile&) = delete;
  HostFile& operator=(const HostFile&) = delete;
  virtual ~HostFile() = default;

  /// Fills `out` from `at`.
  virtual Result<void> read(HostOffset at, std::span<std::byte> out) = 0;

  /// Writes the parts one behind the other from `at`, in one system call where the host allows; the file grows as
  /// needed.
  virtual Result<void> write(HostOffset at, std::span<const std::span<const std::byte>> parts) = 0;
  Result<void> write(HostOffset at, std::span<const std::byte> bytes) { return write(at, std::span(&bytes, 1)); }

  /// Makes the range read as zeroes. Grows the file only with Space::Keep.
  virtual Result<void> zero(HostRange range, Space space) = 0;

  /// Reserves space for the range without changing a byte that can be read; grows the file as needed.
  virtual Result<void> reserve(HostRange range) = 0;

  /// Everything that had completed when this was called is on stable storage when it returns (fdatasync).
  virtual Result<void> barrier() = 0;

  /// The error of a barrier that failed before, when nothing may be promised about this file any more (sticky_file.h).
  [[nodiscard]] virtual Result<void> sound() const { return {}; }

  /// The length in bytes (of a block device: its capacity).
  virtual Result<ByteCount> size() = 0;
  virtual Result<void> resize(ByteCount size) = 0;

  /// The first range of data that ends after `from`, clipped to begin there; empty when only holes follow.
  virtual Result<HostRange> next_data(HostOffset from) = 0;

  /// Bytes that the file occupies on the host.
  virtual Result<ByteCount> allocated() = 0;

  /// A hint: this range will be read soon. Never fails, never blocks for long.
  virtual void will_need(HostRange /*range*/) {}

  [[nodiscard]] virtual FileIdentity identity() const = 0;
  [[nodiscard]] virtual bool writable() const = 0;
  [[nodiscard]] virtual bool is_block_device() const { return false; }

  /// The descriptor behind the file, for locks only; -1 when there is none (tests). Decorators pass the question on.
  [[nodiscard]] virtual int descriptor() const { return -1; }

  /// The path by which people know the file; for messages only.
  [[nodiscard]] virtual const std::string& name() const = 0;
};

}  // namespace flatimg
