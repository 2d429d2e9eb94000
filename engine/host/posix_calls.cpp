#include "host/posix_calls.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

namespace flatimg::posix {

namespace {

// One call of write_zeroes: large enough to be quick, small enough not to hold up a request for long.
constexpr std::size_t kZeroChunk = 1u << 20;
// The zeroes themselves are written many times per call, so that they cost 64 KiB of address space, not 1 MiB.
constexpr std::size_t kZeroBlock = 1u << 16;
alignas(4096) constexpr std::array<std::byte, kZeroBlock> zero_block{};

template <class Call>
auto repeat_interrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

int status_of(int result) { return result == 0 ? 0 : errno; }

off_t as_off(HostOffset at) { return static_cast<off_t>(at.value()); }
off_t as_off(ByteCount count) { return static_cast<off_t>(count.value()); }

iovec as_iovec(std::span<const std::byte> bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};  // pwritev only reads them
}

// Drops the first `count` bytes of the vectors; returns those that are left.
std::span<iovec> without_first(std::span<iovec> vectors, std::size_t count) {
  while (!vectors.empty() && count >= vectors.front().iov_len) {
    count -= vectors.front().iov_len;
    vectors = vectors.subspan(1);
  }
  if (!vectors.empty()) {
    vectors.front().iov_base = static_cast<std::byte*>(vectors.front().iov_base) + count;
    vectors.front().iov_len -= count;
  }
  return vectors;
}

// `at` moves behind what was written.
int write_vectors(int fd, HostOffset& at, std::span<iovec> vectors) {
  vectors = without_first(vectors, 0);
  while (!vectors.empty()) {
    const ssize_t written =
        repeat_interrupted([&] { return ::pwritev(fd, vectors.data(), static_cast<int>(vectors.size()), as_off(at)); });
    if (written < 0) return errno;
    if (written == 0) return EIO;  // no progress and no reason: never let it pass for success
    at += ByteCount(static_cast<std::uint64_t>(written));
    vectors = without_first(vectors, static_cast<std::size_t>(written));
  }
  return 0;
}

ByteCount total_of(std::span<const std::span<const std::byte>> parts) {
  ByteCount total;
  for (const auto part : parts) total += ByteCount(part.size());
  return total;
}

}  // namespace

bool is_addressable(HostRange range) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  return range.begin.value() <= most && range.length.value() <= most - range.begin.value();
}

int read_fully(int fd, HostOffset at, std::span<std::byte> out) {
  const bool addressable = is_addressable({at, ByteCount(out.size())});
  while (addressable && !out.empty()) {
    const ssize_t got = repeat_interrupted([&] { return ::pread(fd, out.data(), out.size(), as_off(at)); });
    if (got < 0) return errno;
    if (got == 0) break;
    at += ByteCount(static_cast<std::uint64_t>(got));
    out = out.subspan(static_cast<std::size_t>(got));
  }
  if (!out.empty()) std::memset(out.data(), 0, out.size());
  return 0;
}

int write_fully(int fd, HostOffset at, std::span<const std::span<const std::byte>> parts) {
  if (!is_addressable({at, total_of(parts)})) return EFBIG;
  std::array<iovec, IOV_MAX> vectors;  // on the stack: nothing is allocated while writing
  while (!parts.empty()) {
    const std::size_t count = std::min(parts.size(), vectors.size());
    for (std::size_t i = 0; i < count; ++i) vectors[i] = as_iovec(parts[i]);
    if (const int error = write_vectors(fd, at, std::span(vectors).first(count)); error != 0) return error;
    parts = parts.subspan(count);
  }
  return 0;
}

int write_zeroes(int fd, HostRange range) {
  if (!is_addressable(range)) return EFBIG;
  std::array<iovec, kZeroChunk / kZeroBlock> vectors;
  HostOffset at = range.begin;
  while (at < range.end()) {
    std::uint64_t left = std::min<std::uint64_t>((range.end() - at).value(), kZeroChunk);
    std::size_t count = 0;
    for (; left > 0; ++count) {
      const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(left, kZeroBlock));
      vectors[count] = as_iovec(std::span(zero_block).first(bytes));
      left -= bytes;
    }
    if (const int error = write_vectors(fd, at, std::span(vectors).first(count)); error != 0) return error;
  }
  return 0;
}

int allocate(int fd, int mode, HostRange range) {
  if (range.empty()) return 0;
  if (!is_addressable(range)) return EFBIG;
  return status_of(
      repeat_interrupted([&] { return ::fallocate(fd, mode, as_off(range.begin), as_off(range.length)); }));
}

int zero_out_device(int fd, HostRange range) {
  std::array<std::uint64_t, 2> where = {range.begin.value(), range.length.value()};
  return status_of(repeat_interrupted([&] { return ::ioctl(fd, BLKZEROOUT, where.data()); }));
}

int sync_data(int fd) {
  return status_of(repeat_interrupted([&] { return ::fdatasync(fd); }));
}

int set_size(int fd, ByteCount size) {
  if (!is_addressable({HostOffset(), size})) return EFBIG;
  return status_of(repeat_interrupted([&] { return ::ftruncate(fd, as_off(size)); }));
}

std::optional<ByteCount> device_size(int fd) {
  std::uint64_t bytes = 0;
  if (::ioctl(fd, BLKGETSIZE64, &bytes) != 0) return std::nullopt;
  return ByteCount(bytes);
}

bool means_unsupported(int os_error) {
  return os_error == EOPNOTSUPP || os_error == ENOSYS || os_error == ENODEV || os_error == ENOTTY || os_error == EINVAL;
}

}  // namespace flatimg::posix
