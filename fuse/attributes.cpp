// Attributes of the flat file.
#include "fuse/attributes.h"

#include <unistd.h>

#include "base/checked.h"

namespace flatimg::flat {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr blksize_t kPreferredIo = 64 << 10;
constexpr std::uint64_t kStatBlock = 512;  // the unit of st_blocks, whatever st_blksize is

mode_t flat_mode_of(const struct stat& image, mode_t mask, Attributes::Writing writing) {
  const mode_t readable_and_writable = image.st_mode & 0666 & ~mask;
  return writing == Attributes::Writing::Allowed ? readable_and_writable : readable_and_writable & ~mode_t{0222};
}

}  // namespace

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }

timespec as_timespec(std::int64_t nanoseconds) {
  const std::int64_t within = ((nanoseconds % kSecond) + kSecond) % kSecond;  // times before 1970 count downwards
  return {(nanoseconds - within) / kSecond, within};
}

std::int64_t now_in_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

Attributes::Attributes(const struct stat& image, const MountOptions& options, Writing writing)
    : uid_(options.uid.value_or(getuid())),
      gid_(options.gid.value_or(getgid())),
      flat_mode_(flat_mode_of(image, options.umask.value_or(0), writing)),
      mask_(options.umask.value_or(0)),
      mounted_at_(now_in_nanoseconds()),
      access_time_(nanoseconds(image.st_atim)),
      write_time_(nanoseconds(image.st_mtim)),
      change_time_(nanoseconds(image.st_ctim)) {}

struct stat Attributes::flat_file(ByteCount size, ByteCount data) const {
  struct stat result = common(S_IFREG | flat_mode_, 1);
  result.st_size = static_cast<off_t>(size.value());
  result.st_blocks = static_cast<blkcnt_t>(ceil_divide(data.value(), kStatBlock));
  result.st_atim = as_timespec(access_time_);
  result.st_mtim = as_timespec(write_time_);
  result.st_ctim = as_timespec(change_time_);
  return result;
}

struct stat Attributes::directory(unsigned links) const {
  return common(S_IFDIR | (0755 & ~mask_), links);
}

struct stat Attributes::fact(ByteCount size) const {
  struct stat result = common(S_IFREG | (0444 & ~mask_), 1);
  result.st_size = static_cast<off_t>(size.value());
  return result;
}

void Attributes::touch() {
  const std::int64_t now = now_in_nanoseconds();
  write_time_ = now;
  change_time_ = now;
}

struct stat Attributes::common(mode_t mode, unsigned links) const {
  struct stat result {};
  result.st_mode = mode;
  result.st_nlink = links;
  result.st_uid = uid_;
  result.st_gid = gid_;
  result.st_blksize = kPreferredIo;
  result.st_atim = result.st_mtim = result.st_ctim = as_timespec(mounted_at_);
  return result;
}

}  // namespace flatimg::flat
