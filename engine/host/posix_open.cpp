// Opening and creating the files that a user named.
//
// Invariant: nothing but a regular file or a block device is ever really opened. A FIFO would block until somebody
// writes to it, and a device may act (rewind, ring) on open; so the file is looked at through O_PATH first, which does
// neither, and what was then really opened is compared with what was looked at.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "host/posix_file.h"

namespace flatimg {

namespace {

constexpr std::string_view kWhyNewName = "choose another name, or remove the old file first";

Result<void> must_be_a_path(const std::string& path) {
  if (path.empty()) return fail(ErrorKind::BadUsage, "the name of a file is empty");
  if (path.find('\0') != std::string::npos) {
    return fail(ErrorKind::BadUsage, "{}: a file name cannot contain a NUL", shown(path));
  }
  return {};
}

Result<struct stat> status_of(const Descriptor& descriptor, const std::string& path) {
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) return fail_os(errno, "{}", shown(path));
  return status;
}

// What is there, without opening it.
Result<struct stat> looked_at(const std::string& path) {
  const Descriptor seen(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!seen.valid()) return fail_os(errno, "{}", shown(path));
  TRY(const struct stat status, status_of(seen, path));
  if (const auto kind = unsuitable_file_kind(status.st_mode)) {
    return fail(ErrorKind::Denied, "{}: is {}, not a regular file or block device", shown(path), *kind);
  }
  return status;
}

}  // namespace

// File systems without this (EINVAL) have nothing that we could wait for.
Result<void> make_name_durable(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor descriptor(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.valid()) return {};  // a directory that may be written but not read
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL) return fail_os(errno, "{}: cannot flush", shown(directory));
  return {};
}

std::optional<std::string> unsuitable_file_kind(unsigned mode) {
  if (S_ISREG(mode) || S_ISBLK(mode)) return std::nullopt;
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISLNK(mode)) return "a symbolic link";
  return "a file of unknown kind";
}

Result<std::unique_ptr<HostFile>> open_host_file(const std::string& path, Access access) {
  CHECK(must_be_a_path(path));
  TRY(const struct stat expected, looked_at(path));
  const int mode = access == Access::ReadWrite ? O_RDWR : O_RDONLY;
  Descriptor descriptor(::open(path.c_str(), mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!descriptor.valid()) {
    return fail_os(errno, "{}: cannot open for {}", shown(path), access == Access::ReadWrite ? "writing" : "reading");
  }
  TRY(const struct stat status, status_of(descriptor, path));
  if (status.st_dev != expected.st_dev || status.st_ino != expected.st_ino) {
    return fail(ErrorKind::Busy, "{}: was replaced while it was opened: try again", shown(path));
  }
  return adopt_host_file(std::move(descriptor), path, access);
}

Result<std::unique_ptr<HostFile>> create_host_file(const std::string& path, unsigned mode) {
  CHECK(must_be_a_path(path));
  Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, mode));
  if (!descriptor.valid() && errno == EEXIST) {
    return Failure(Error{ErrorKind::Denied, EEXIST, fmt::format("{}: exists already: {}", shown(path), kWhyNewName)});
  }
  if (!descriptor.valid()) return fail_os(errno, "{}: cannot create", shown(path));
  CHECK(make_name_durable(path));
  return adopt_host_file(std::move(descriptor), path, Access::ReadWrite);
}

}  // namespace flatimg
