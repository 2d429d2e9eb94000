// The calls of HostFile on a descriptor. Opening is in posix_open.cpp, the system calls are in posix_calls.cpp.
//
// Invariants:
//   1. Only calls with an explicit position (pread, pwritev); the one exception, lseek for holes, ignores the position.
//   2. Growing never goes through ftruncate unless resize() was asked for: a size that was read a moment ago may be
//      smaller than what another thread has made of the file since.
#include "host/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "host/posix_calls.h"

namespace flatimg {

namespace {

class PosixFile final : public HostFile {
 public:
  PosixFile(Descriptor descriptor, std::string name, Access access, const struct stat& status)
      : fd_(std::move(descriptor)),
        name_(std::move(name)),
        writable_(access == Access::ReadWrite),
        block_device_(S_ISBLK(status.st_mode)),
        // Two nodes of one device are the same file; no file has inode 0, so that this cannot meet a regular one.
        identity_(block_device_ ? FileIdentity{status.st_rdev, 0} : FileIdentity{status.st_dev, status.st_ino}) {}

  using HostFile::write;
  Result<void> read(HostOffset at, std::span<std::byte> out) override;
  Result<void> write(HostOffset at, std::span<const std::span<const std::byte>> parts) override;
  Result<void> zero(HostRange range, Space space) override;
  Result<void> reserve(HostRange range) override;
  Result<void> barrier() override;
  Result<ByteCount> size() override;
  Result<void> resize(ByteCount size) override;
  Result<HostRange> next_data(HostOffset from) override;
  Result<ByteCount> allocated() override;
  void will_need(HostRange range) override;

  [[nodiscard]] FileIdentity identity() const override { return identity_; }
  [[nodiscard]] bool writable() const override { return writable_; }
  [[nodiscard]] bool is_block_device() const override { return block_device_; }
  [[nodiscard]] int descriptor() const override { return fd_.get(); }
  [[nodiscard]] const std::string& name() const override { return name_; }

 private:
  [[nodiscard]] Result<void> outcome(int os_error, std::string_view what) const;
  [[nodiscard]] Result<void> outcome(int os_error, std::string_view what, HostRange range) const;
  [[nodiscard]] Result<void> must_be_writable() const;
  [[nodiscard]] int zero_somehow(HostRange range, int mode) const;

  Descriptor fd_;
  std::string name_;
  bool writable_;
  bool block_device_;
  FileIdentity identity_;
};

Result<void> PosixFile::outcome(int os_error, std::string_view what) const {
  if (os_error == 0) return {};
  return fail_os(os_error, "{}: {}", shown(name_), what);
}

Result<void> PosixFile::outcome(int os_error, std::string_view what, HostRange range) const {
  if (os_error == 0) return {};
  return fail_os(os_error, "{}: {} {} bytes at {}", shown(name_), what, range.length.value(), range.begin.value());
}

Result<void> PosixFile::must_be_writable() const {
  if (!writable_)
    return fail(ErrorKind::Denied, "{}: cannot write: the file was opened for reading only", shown(name_));
  return {};
}

Result<void> PosixFile::read(HostOffset at, std::span<std::byte> out) {
  return outcome(posix::read_fully(fd_.get(), at, out), "cannot read", {at, ByteCount(out.size())});
}

Result<void> PosixFile::write(HostOffset at, std::span<const std::span<const std::byte>> parts) {
  CHECK(must_be_writable());
  const int os_error = posix::write_fully(fd_.get(), at, parts);
  if (os_error == 0) return {};
  ByteCount total;
  for (const auto part : parts) total += ByteCount(part.size());
  return outcome(os_error, "cannot write", {at, total});
}

// In the given mode of fallocate(2) if the host can do that, else by writing. Not every error means "cannot": no room
// for the split of an extent, say, is passed on.
int PosixFile::zero_somehow(HostRange range, int mode) const {
  int os_error = posix::allocate(fd_.get(), mode, range);
  if (!posix::means_unsupported(os_error)) return os_error;
  if (block_device_) os_error = posix::zero_out_device(fd_.get(), range);
  return posix::means_unsupported(os_error) ? posix::write_zeroes(fd_.get(), range) : os_error;
}

Result<void> PosixFile::zero(HostRange range, Space space) {
  CHECK(must_be_writable());
  if (space == Space::Keep) {
    return outcome(zero_somehow(range, FALLOC_FL_ZERO_RANGE), "cannot zero", range);
  }
  // What lies behind the end reads as zeroes already; clipping keeps the fallback from growing the file.
  TRY(const ByteCount file_size, size());
  const HostRange inside = intersection(range, HostRange{HostOffset(), file_size});
  if (inside.empty()) return {};
  return outcome(zero_somehow(inside, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), "cannot punch", inside);
}

Result<void> PosixFile::reserve(HostRange range) {
  CHECK(must_be_writable());
  if (range.empty()) return {};
  int os_error = block_device_ ? EOPNOTSUPP : posix::allocate(fd_.get(), 0, range);
  if (posix::means_unsupported(os_error)) {
    TRY(const ByteCount file_size, size());
    const bool reaches_behind_end = range.end() > HostOffset() + file_size;
    if (!reaches_behind_end) return {};
    // The last byte of the caller's own range, which nobody can have written yet; see invariant 2.
    os_error = block_device_ ? ENOSPC : posix::write_zeroes(fd_.get(), {range.end() - 1_B, 1_B});
  }
  return outcome(os_error, "cannot reserve", range);
}

Result<void> PosixFile::barrier() { return outcome(posix::sync_data(fd_.get()), "cannot flush"); }

Result<ByteCount> PosixFile::size() {
  if (block_device_) {
    if (const auto capacity = posix::device_size(fd_.get())) return *capacity;
    return fail_os(errno, "{}: cannot ask for the size", shown(name_));
  }
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return fail_os(errno, "{}: cannot ask for the size", shown(name_));
  return ByteCount(static_cast<std::uint64_t>(status.st_size));
}

Result<void> PosixFile::resize(ByteCount size) {
  CHECK(must_be_writable());
  if (block_device_) {
    return fail(ErrorKind::Unsupported, "{}: cannot resize: a block device has the size that it has", shown(name_));
  }
  return outcome(posix::set_size(fd_.get(), size), fmt::format("cannot resize to {} bytes", size.value()));
}

Result<HostRange> PosixFile::next_data(HostOffset from) {
  const HostRange nothing{from, ByteCount()};
  TRY(const ByteCount file_size, size());
  const HostOffset end = HostOffset() + file_size;
  if (from >= end) return nothing;
  const off_t data = ::lseek(fd_.get(), static_cast<off_t>(from.value()), SEEK_DATA);
  if (data < 0 && errno == ENXIO) return nothing;
  if (data < 0 && posix::means_unsupported(errno)) return HostRange::between(from, end);
  if (data < 0) return fail_os(errno, "{}: cannot look for data", shown(name_));
  const off_t hole = ::lseek(fd_.get(), data, SEEK_HOLE);
  if (hole < 0 && errno == ENXIO) return nothing;  // cut off by another process since the first call
  if (hole < 0) return fail_os(errno, "{}: cannot look for a hole", shown(name_));
  return HostRange::between(HostOffset(static_cast<std::uint64_t>(data)), HostOffset(static_cast<std::uint64_t>(hole)));
}

Result<ByteCount> PosixFile::allocated() {
  if (block_device_) return size();
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return fail_os(errno, "{}: cannot ask for its space", shown(name_));
  return ByteCount(static_cast<std::uint64_t>(status.st_blocks)) * 512;  // always units of 512 bytes on Linux
}

void PosixFile::will_need(HostRange range) {
  if (range.empty() || !posix::is_addressable(range)) return;
  (void)::posix_fadvise(fd_.get(), static_cast<off_t>(range.begin.value()), static_cast<off_t>(range.length.value()),
                        POSIX_FADV_WILLNEED);
}

// O_NONBLOCK has done its work at open; with io_uring it would make reads of regular files fail instead of wait.
void make_blocking(const Descriptor& descriptor) {
  const int flags = ::fcntl(descriptor.get(), F_GETFL);
  if (flags >= 0) (void)::fcntl(descriptor.get(), F_SETFL, flags & ~O_NONBLOCK);
}

Result<void> must_have_mode(const Descriptor& descriptor, const std::string& name, Access access) {
  const int flags = ::fcntl(descriptor.get(), F_GETFL);
  if (flags < 0) return fail_os(errno, "{}: cannot use its descriptor", shown(name));
  const int mode = flags & O_ACCMODE;
  const bool enough = mode == O_RDWR || (mode == O_RDONLY && access == Access::ReadOnly);
  if (!enough || (flags & O_PATH) != 0) {
    return fail(ErrorKind::Denied, "{}: its descriptor was not opened for what is wanted", shown(name));
  }
  return {};
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

int descriptor_of(const HostFile& file) { return file.descriptor(); }

Result<std::unique_ptr<HostFile>> adopt_host_file(Descriptor descriptor, std::string name, Access access) {
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) return fail_os(errno, "{}: cannot use its descriptor", shown(name));
  if (const auto kind = unsuitable_file_kind(status.st_mode)) {
    return fail(ErrorKind::Denied, "{}: is {}, not a regular file or block device", shown(name), *kind);
  }
  CHECK(must_have_mode(descriptor, name, access));
  make_blocking(descriptor);
  // Read-ahead of the host fills its cache with large folios, and rewriting 4 KiB inside of one costs ten times as much
  // as in a small one. We know better what will be needed, and say so (will_need).
  (void)::posix_fadvise(descriptor.get(), 0, 0, POSIX_FADV_RANDOM);
  return std::make_unique<PosixFile>(std::move(descriptor), std::move(name), access, status);
}

}  // namespace flatimg
