// Fixtures of images that are mounted and must not change, whatever is done to what the mount shows.
#pragma once

#include <gtest/gtest.h>

#include "mount/mounted_image.h"

namespace flatimg::test {

class UntouchedImage : public ::testing::Test {
 protected:
  explicit UntouchedImage(const std::string& name) : image_(dir_ / name) {}

  /// Runs a script that makes the image, in the directory of the test. The mount point `mnt` is there already.
  void make_image(const std::string& script) {
    const auto made = in_directory("mkdir mnt; " + script);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    before_ = checksum();
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_EQ(checksum(), before_);
  }
  void expect_runs(const std::string& script) const {
    const auto finished = in_directory(script);
    EXPECT_EQ(finished.exit_code, 0) << finished.output;
  }
  /// Mounting with these options fails, with one line that mentions `words`.
  void expect_refused(const std::string& options, const std::string& image, const std::string& words) const {
    const auto outcome = flatimg({"mount", "-o", options, image, mountpoint_});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.output.find(words), std::string::npos) << outcome.output;
    EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
  }

  TempDir dir_;
  const std::string image_;
  const std::string mountpoint_ = dir_ / "mnt";

 private:
  [[nodiscard]] Finished in_directory(const std::string& script) const {
    return shell("cd " + dir_.path().string() + "; " + script);
  }
  [[nodiscard]] std::string checksum() const { return shell("sha256sum < " + image_).output; }

  std::string before_;
};

/// The same with an ext4 file system on the disk: it is also in disk.raw, and its files in `content`.
class UntouchedFileSystem : public UntouchedImage {
 protected:
  using UntouchedImage::UntouchedImage;

  /// `convert` makes the image of disk.raw.
  void make_file_system(const std::string& convert) {
    make_image(
        "mkdir tree content; cp -r /usr/include/linux content/; truncate -s 64M disk.raw;"
        "mkfs.ext4 -q -F -d content disk.raw; " +
        convert);
  }
  /// The file system is sound and complete on a loop device.
  void expect_sound_on_a_loop_device(const MountedImage& mounted) const {
    const LoopDevice loop(mounted.flat(), {"-r"});
    ASSERT_FALSE(loop.path().empty());
    expect_runs("e2fsck -fn " + loop.path() + "; mount -o ro " + loop.path() + " tree; trap 'umount tree' EXIT" +
                "; diff -r content/linux tree/linux");
  }
  /// Writes the same to an odd place of the flat file and of disk.raw; then they are equal.
  void expect_takes_a_write(const MountedImage& mounted, int place) const {
    expect_runs("head -c 3000 /dev/urandom > new; for f in " + mounted.flat() +
                " disk.raw; do dd if=new of=$f bs=1000 seek=" + std::to_string(place) +
                " conv=notrunc,fsync status=none; done; cmp disk.raw " + mounted.flat());
  }
  /// over.qcow2 is sound, and shows with the image behind it what disk.raw holds. QEMU does not know the format of the
  /// image behind it, so it looks at the overlay alone.
  void expect_sound_overlay() const {
    expect_runs("qemu-img check -q over.qcow2; $FLATIMG compare -F raw over.qcow2 disk.raw");
  }
};

}  // namespace flatimg::test
