// The program under test, and images that it has mounted. Whatever happens to a test, its mounts, loop devices and
// processes go with these objects.
#pragma once

#include <string>
#include <vector>

#include "support/process.h"
#include "support/temp_dir.h"

namespace flatimg::test {

/// Why mounting cannot be tested here; empty when it can.
[[nodiscard]] std::string why_no_mounts();
/// The same for loop devices.
[[nodiscard]] std::string why_no_loop_devices();

/// Runs flatimg with these arguments.
Finished flatimg(std::vector<std::string> arguments);

/// Runs a line in bash with -e and pipefail. $FLATIMG is the program.
Finished shell(const std::string& script);

/// An image that is mounted from construction (a test failure when that fails) until unmount() or the end.
class MountedImage {
 public:
  enum class Shape { Directory, File };
  MountedImage(const std::string& image, const std::string& mountpoint, std::vector<std::string> options = {});
  ~MountedImage();
  MountedImage(const MountedImage&) = delete;
  MountedImage& operator=(const MountedImage&) = delete;

  [[nodiscard]] bool mounted() const { return mounted_; }
  /// The raw disk.
  [[nodiscard]] const std::string& flat() const { return flat_; }
  /// The process that serves it; 0 when there is none.
  [[nodiscard]] int daemon() const;
  /// The process that mounted; 0 when it has ended. While the worker lives it is the worker's parent.
  [[nodiscard]] int supervisor() const;

  /// `flatimg umount`: its result, and a test failure when it was not a success.
  Finished unmount();
  /// The daemon is gone already (killed): takes the dead mount away.
  void clear_dead_mount();

 private:
  std::string image_;
  std::string mountpoint_;
  std::string flat_;
  bool mounted_ = false;
};

/// A loop device over a file, detached at the end.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file, std::vector<std::string> options = {});
  ~LoopDevice();
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  /// What is attached to the device, no two times the same.
  [[nodiscard]] std::string attachment() const;

  std::string path_;
  std::string attached_;
};

}  // namespace flatimg::test
