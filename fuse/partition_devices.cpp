#include "fuse/partition_devices.h"

#include <fcntl.h>
#include <linux/blkpg.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>

#include "base/text.h"
#include "catalog/open.h"
#include "fuse/confine.h"
#include "fuse/process.h"
#include "host/posix_file.h"
#include "partitions/table.h"

namespace flatimg::flat {

namespace {

bool has_partitions(const std::string& device) {
  const std::string name = std::filesystem::path(device).filename();
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/block/" + name, ignored)) {
    if (entry.path().filename().string().starts_with(name + "p")) return true;
  }
  return false;
}

/// "NUMBER FIRST-BYTE BYTES" for each partition; empty when there is no table, or it cannot be read.
std::string partitions_of(const std::string& device) {
  catalog::OpenRequest request;
  request.path = device;
  request.format = "raw";
  request.access = Access::ReadOnly;
  request.locks = false;
  auto opened = catalog::open_image(request);
  if (!opened) return {};
  Disk disk(std::move(opened->chain), {});
  const auto table = partitions::read_table(disk);
  std::string lines;
  if (!table) return lines;
  for (const partitions::Partition& one : table->partitions) {
    lines += fmt::format("{} {} {}\n", one.number, one.where.begin.value(), one.where.length.value());
  }
  return lines;
}

Result<void> add_partition(const Descriptor& device, int number, long long begin, long long length) {
  blkpg_partition partition{};
  partition.pno = number;
  partition.start = begin;
  partition.length = length;
  blkpg_ioctl_arg argument{};
  argument.op = BLKPG_ADD_PARTITION;
  argument.datalen = sizeof partition;
  argument.data = &partition;
  if (::ioctl(device.get(), BLKPG, &argument) == 0) return {};
  return fail_os(errno, "adding partition {}", number);
}

}  // namespace

Result<void> add_missing_partitions(const std::string& device) {
  if (has_partitions(device)) return {};
  const auto found = ask_child([&] {
    (void)confine({{device, Rights::Read}});  // the mount has told what is missing
    return partitions_of(device);
  });
  if (!found) return fail(ErrorKind::Io, "{}: its partition table could not be read", shown(device));
  const Descriptor opened(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened.valid()) return fail_os(errno, "{}", shown(device));
  std::istringstream lines(*found);
  int number = 0;
  long long begin = 0;
  long long length = 0;
  while (lines >> number >> begin >> length) {
    if (auto added = add_partition(opened, number, begin, length); !added) {
      return Failure(std::move(added.error()).within(shown(device)));
    }
  }
  return {};
}

}  // namespace flatimg::flat
