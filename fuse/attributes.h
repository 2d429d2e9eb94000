// What stat() says about the flat file and what stands beside it.
//
// Invariants:
//   1. Size and blocks are not kept here: they come from the disk each time.
//   2. Times are kept in memory and begin with those of the image file. The image's own times are the host's business.
//   3. Permission bits never change while mounted, and none allows writing to an image that cannot be written.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <ctime>
#include <optional>

#include "base/units.h"
#include "fuse/options.h"

namespace flatimg::flat {

/// A point of time in nanoseconds since 1970, as one word so that threads can share it.
[[nodiscard]] std::int64_t nanoseconds(const timespec& time);
[[nodiscard]] timespec as_timespec(std::int64_t nanoseconds);
[[nodiscard]] std::int64_t now_in_nanoseconds();

class Attributes {
 public:
  enum class Writing { Allowed, Refused };

  /// `image` is what stat() says about the image file.
  Attributes(const struct stat& image, const MountOptions& options, Writing writing);

  /// The three kinds of file, without st_ino.
  [[nodiscard]] struct stat flat_file(ByteCount size, ByteCount data) const;
  [[nodiscard]] struct stat directory(unsigned links) const;
  [[nodiscard]] struct stat fact(ByteCount size) const;

  /// The flat file was written to.
  void touch();
  void set_access_time(std::int64_t time) { access_time_ = time; }
  void set_write_time(std::int64_t time) { write_time_ = time; }
  void set_change_time(std::int64_t time) { change_time_ = time; }

  [[nodiscard]] uid_t uid() const { return uid_; }
  [[nodiscard]] gid_t gid() const { return gid_; }
  [[nodiscard]] mode_t flat_mode() const { return flat_mode_; }

 private:
  [[nodiscard]] struct stat common(mode_t mode, unsigned links) const;

  uid_t uid_;
  gid_t gid_;
  mode_t flat_mode_;
  mode_t mask_;
  std::int64_t mounted_at_;
  std::atomic<std::int64_t> access_time_;
  std::atomic<std::int64_t> write_time_;
  std::atomic<std::int64_t> change_time_;
};

}  // namespace flatimg::flat
