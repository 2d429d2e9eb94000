// The disk that fsx works on: the flat file of a mount, a loop device over it, or a plain file for comparison.
// Beginning, remounting and ending are here; what is done with the open disk is the player's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "mount/mounted_image.h"
#include "soak/fsx/operation.h"

namespace flatimg::test::fsx {

/// Something is wrong: ends a run.
struct Finding : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// How the disk is reached. Beneath a directory the kernel writes back late, as a file it writes through. A tree is a
/// mount of the directory that the image is in.
enum class Way { Plain, Directory, File, Tree, Loop, DirectLoop };

/// A disk and how it is made. The scripts run in the directory of the disk, with $SIZE in bytes and start.raw, a
/// content of that size with data, holes, and what compresses.
struct Course {
  std::string name;
  std::string make;   // makes `disk`; and expected.raw, when that does not begin with zeroes
  std::string judge;  // behind the last unmount: end.raw is what the disk should hold
  std::uint64_t size = 6 << 20;
  Way way = Way::Directory;
  std::vector<std::string> options = {};  // of the mount; $D is the directory of the disk
};

/// Why it cannot be tested here; empty when it can.
[[nodiscard]] std::string why_not(Way way);
[[nodiscard]] Bounds bounds_of(const Course& course);

class DiskUnderTest {
 public:
  /// Makes and opens it. Throws a Finding, as everything here.
  explicit DiskUnderTest(const Course& course);
  ~DiskUnderTest();
  DiskUnderTest(const DiskUnderTest&) = delete;
  DiskUnderTest& operator=(const DiskUnderTest&) = delete;

  /// What it holds at first.
  [[nodiscard]] std::vector<std::byte> start() const;
  [[nodiscard]] int file() const { return file_; }
  /// The same with O_DIRECT.
  [[nodiscard]] int direct() const { return direct_; }

  void reopen();
  void remount();
  /// Closes and unmounts, and lets the image be judged by this content.
  void end(const std::vector<std::byte>& content);

 private:
  void run_script(const std::string& script) const;
  void mount();
  void unmount();
  void open();
  void close();
  [[nodiscard]] std::string path() const;

  const Course& course_;
  TempDir dir_;
  const std::string folder_ = dir_ / "disks";
  std::unique_ptr<MountedImage> mounted_;
  std::unique_ptr<LoopDevice> loop_;
  int file_ = -1;
  int direct_ = -1;
};

}  // namespace flatimg::test::fsx
