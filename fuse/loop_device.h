// Loop devices: one that shows a flat file as a block device, and what is known of one that somebody attached.
//
// A device that we attach is marked to clear itself when nobody has it open any more, and we hold it open: so it goes
// when we let go of it, or die, as soon as its last user has gone.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "host/posix_file.h"

namespace flatimg::flat {

enum class Partitions { Ignore, Scan };

class LoopDevice {
 public:
  LoopDevice() = default;
  /// The next free device, for the whole of a file: for writing where the file permits it.
  static Result<LoopDevice> attach(const std::string& file, Partitions partitions);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool attached() const { return device_.valid(); }
  /// Lets go of it.
  void release() { device_ = Descriptor(); }

 private:
  LoopDevice(std::string path, Descriptor device) : path_(std::move(path)), device_(std::move(device)) {}

  std::string path_;
  Descriptor device_;
};

/// The file system (st_dev) of the file behind an attached loop device; BadUsage when it is none, or not attached.
Result<dev_t> file_system_behind(const std::string& device);

/// What was written to the device goes to the file behind it. Busy when a file system on it is mounted, or somebody has
/// it for himself in another way.
Result<void> settle_device(const std::string& device);

}  // namespace flatimg::flat
