// A HostFile on a real regular file or block device.
//
// Messages read "NAME: what failed: why", the name escaped; where the user can do something about it, "WAY OUT"
// follows.
#pragma once

#include <string>

#include "host/host_file.h"

namespace flatimg {

enum class Access { ReadOnly, ReadWrite };

/// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// Opens a file that the user named. Only regular files and block devices; a FIFO or a device is refused before it is
/// really opened. Access::ReadWrite fails with Denied where permissions or a read-only file system forbid it: the way
/// out is Access::ReadOnly. NotFound when there is no such file.
Result<std::unique_ptr<HostFile>> open_host_file(const std::string& path, Access access);

/// Takes over a descriptor that was opened elsewhere (the gate, a test). Denied when it was opened for less than
/// `access`.
Result<std::unique_ptr<HostFile>> adopt_host_file(Descriptor descriptor, std::string name, Access access);

/// Creates a new regular file with this mode (less umask), its name durable on return; fails with Denied when the name
/// exists: the way out is another name, or to remove the old file first.
Result<std::unique_ptr<HostFile>> create_host_file(const std::string& path, unsigned mode = 0644);

/// After creating or renaming a file: the name is on stable storage on return.
Result<void> make_name_durable(const std::string& path);

/// The descriptor behind a file made here, also through decorators, for locks; -1 for any other HostFile.
[[nodiscard]] int descriptor_of(const HostFile& file);

/// What refuses a file kind: nullopt for regular files and block devices, else its name for people ("a FIFO").
[[nodiscard]] std::optional<std::string> unsuitable_file_kind(unsigned mode);

}  // namespace flatimg
