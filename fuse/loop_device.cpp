#include "fuse/loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace flatimg::flat {

namespace {

constexpr int kTries = 16;  // somebody else may take the free device first

struct OpenFlatFile {
  Descriptor file;
  bool writable = false;
};

Result<OpenFlatFile> open_flat_file(const std::string& path) {
  OpenFlatFile opened{Descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC)), true};
  if (opened.file.valid()) return opened;
  if (errno != EACCES && errno != EROFS) return fail_os(errno, "opening the flat file");
  opened = {Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), false};
  if (!opened.file.valid()) return fail_os(errno, "opening the flat file");
  return opened;
}

loop_config configuration(const OpenFlatFile& flat, const std::string& name, Partitions partitions) {
  loop_config config{};
  config.fd = static_cast<__u32>(flat.file.get());
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
  if (!flat.writable) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
  if (partitions == Partitions::Scan) config.info.lo_flags |= LO_FLAGS_PARTSCAN;
  std::memcpy(config.info.lo_file_name, name.data(), std::min<std::size_t>(name.size(), LO_NAME_SIZE - 1));
  return config;
}

Result<loop_info64> look_at_device(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return fail_os(errno, "{}", shown(path));
  constexpr unsigned kLoopMajor = 7;
  if (!S_ISBLK(found.st_mode) || major(found.st_rdev) != kLoopMajor) {
    return fail(ErrorKind::BadUsage, "{}: is not a loop device", shown(path));
  }
  const Descriptor device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!device.valid()) return fail_os(errno, "{}", shown(path));
  loop_info64 info{};
  if (::ioctl(device.get(), LOOP_GET_STATUS64, &info) == 0) return info;
  if (errno == ENXIO) return fail(ErrorKind::NotFound, "{}: nothing is attached there", shown(path));
  return fail_os(errno, "{}", shown(path));
}

}  // namespace

Result<LoopDevice> LoopDevice::attach(const std::string& file, Partitions partitions) {
  TRY(const OpenFlatFile flat, open_flat_file(file));
  const Descriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) return fail_os(errno, "/dev/loop-control (modprobe loop?)");
  for (int tries = 0; tries < kTries; ++tries) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return fail_os(errno, "finding a free loop device");
    const std::string path = "/dev/loop" + std::to_string(number);
    Descriptor device(::open(path.c_str(), (flat.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
    if (!device.valid()) return fail_os(errno, "{}", path);
    const loop_config config = configuration(flat, path, partitions);
    if (::ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return LoopDevice(path, std::move(device));
    if (errno != EBUSY) return fail_os(errno, "attaching {}", path);
  }
  return fail(ErrorKind::Busy, "no loop device stays free long enough");
}

Result<dev_t> file_system_behind(const std::string& device) {
  TRY(const loop_info64 info, look_at_device(device));
  return static_cast<dev_t>(info.lo_device);
}

Result<void> settle_device(const std::string& device) {
  const Descriptor alone(::open(device.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
  if (!alone.valid() && errno == EBUSY) {
    return fail(ErrorKind::Busy, "{}: is in use: unmount what is mounted from it, and detach it then", shown(device));
  }
  if (!alone.valid()) return fail_os(errno, "{}", shown(device));
  if (fsync(alone.get()) == 0) return {};
  return fail_os(errno, "{}: writing back", shown(device));
}

}  // namespace flatimg::flat
