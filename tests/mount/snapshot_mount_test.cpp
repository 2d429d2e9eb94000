// snapshot=: an internal snapshot as a flat file, for reading. Snapshots of an image that is mounted.
#include <gtest/gtest.h>

#include "mount/untouched_image.h"

namespace flatimg::test {
namespace {

class SnapshotMount : public UntouchedImage {
 protected:
  SnapshotMount() : UntouchedImage("d.qcow2") {}
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    make_image(
        "qemu-img create -q -f qcow2 d.qcow2 8M;"
        "qemu-io -c 'write -q -P 1 0 3M' d.qcow2; qemu-img convert -O raw d.qcow2 first.raw;"
        "qemu-img snapshot -c first d.qcow2; qemu-img resize -q d.qcow2 12M;"
        "qemu-io -c 'write -q -P 2 1M 10M' d.qcow2; qemu-img convert -O raw d.qcow2 second.raw;"
        "qemu-img snapshot -c second d.qcow2; qemu-io -c 'write -q -z 0 12M' d.qcow2");
  }
};

TEST_F(SnapshotMount, ShowsItsDiskInItsSizeByNameAndById) {
  for (const auto& [name, raw] : {std::pair{"first", "first.raw"}, {"1", "first.raw"}, {"second", "second.raw"}}) {
    MountedImage mounted(image_, mountpoint_, {std::string("snapshot=") + name});
    ASSERT_TRUE(mounted.mounted());
    const auto same = shell("cmp " + mounted.flat() + " " + (dir_ / raw));
    EXPECT_EQ(same.exit_code, 0) << name << ": " << same.output;
    mounted.unmount();
  }
}

TEST_F(SnapshotMount, CannotBeWritten) {
  MountedImage mounted(image_, mountpoint_, {"snapshot=first"});
  ASSERT_TRUE(mounted.mounted());
  const auto outcome = shell("test $(stat -c %a " + mounted.flat() + ") = 444; ! dd if=/dev/zero of=" + mounted.flat() +
                             " bs=512 count=1 conv=notrunc 2>&1 | grep -q copied");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  mounted.unmount();
}

TEST_F(SnapshotMount, ThatDoesNotExistIsOneClearLine) {
  expect_refused("snapshot=third", image_, "it has no snapshot third");
}

// --- while the image is mounted -------------------------------------------------------------------------------------

// Programs write 1, take a snapshot, write 2; then QEMU says what is in the snapshot and on the disk.
class LiveSnapshot : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    const auto made = shell("cd " + dir_.path().string() + "; mkdir mnt; qemu-img create -q -f qcow2 d.qcow2 8M");
    ASSERT_EQ(made.exit_code, 0) << made.output;
  }

  // Buffered, and not flushed by whoever writes.
  static void write(const MountedImage& mounted, const std::string& what) {
    const auto written = shell("head -c 3M /dev/zero | tr '\\0' " + what + " | dd of=" + mounted.flat() +
                               " bs=64k seek=17 conv=notrunc status=none");
    ASSERT_EQ(written.exit_code, 0) << written.output;
  }

  void expect_snapshot_of_1_and_disk_of_2() const {
    const auto judged =
        shell("cd " + dir_.path().string() +
              "; qemu-img check -q d.qcow2; for n in 1 2; do truncate -s 0 $n.raw; truncate -s 8M $n.raw;"
              "head -c 3M /dev/zero | tr '\\0' $n | dd of=$n.raw bs=64k seek=17 conv=notrunc status=none; done;"
              "qemu-img convert -l snapshot.name='live one' -O raw d.qcow2 s.raw; cmp s.raw 1.raw;"
              "qemu-img compare d.qcow2 2.raw");
    EXPECT_EQ(judged.exit_code, 0) << judged.output;
  }

  void snapshot_while_mounted_on(const std::string& mountpoint, const std::string& name_of_image) {
    MountedImage mounted(image_, mountpoint);
    ASSERT_TRUE(mounted.mounted());
    write(mounted, "1");
    const auto taken = flatimg({"snapshot", "-c", "live one", name_of_image});
    EXPECT_EQ(taken.exit_code, 0) << taken.output;
    EXPECT_EQ(taken.output, "");
    write(mounted, "2");
    mounted.unmount();
    expect_snapshot_of_1_and_disk_of_2();
  }

  TempDir dir_;
  std::string image_ = dir_ / "d.qcow2";
  std::string mountpoint_ = dir_ / "mnt";
};

TEST_F(LiveSnapshot, IsTakenByTheNameOfTheImage) { snapshot_while_mounted_on(mountpoint_, image_); }
TEST_F(LiveSnapshot, IsTakenByTheMountpoint) { snapshot_while_mounted_on(mountpoint_, mountpoint_); }
TEST_F(LiveSnapshot, IsTakenByTheFlatFile) { snapshot_while_mounted_on(mountpoint_, mountpoint_ + "/d.qcow2"); }
TEST_F(LiveSnapshot, IsTakenOfAnImageThatIsMountedOverItself) { snapshot_while_mounted_on(image_, image_); }

TEST_F(LiveSnapshot, OfAnImageWithAnOverlayIsOneOfTheOverlay) {
  MountedImage mounted(image_, mountpoint_, {"overlay=" + (dir_ / "over.qcow2")});
  ASSERT_TRUE(mounted.mounted());
  write(mounted, "1");
  const auto refused = flatimg({"snapshot", "-c", "s", image_});
  EXPECT_EQ(refused.exit_code, 1) << refused.output;
  const auto taken = flatimg({"snapshot", "-c", "s", dir_ / "over.qcow2"});
  EXPECT_EQ(taken.exit_code, 0) << taken.output;
  mounted.unmount();
  const auto judged = shell("cd " + dir_.path().string() +
                            "; qemu-img check -q over.qcow2; qemu-img snapshot -l over.qcow2 | grep -q ' s ';"
                            "! qemu-img snapshot -l d.qcow2 | grep -q ' s '");
  EXPECT_EQ(judged.exit_code, 0) << judged.output;
}

TEST_F(LiveSnapshot, IsDeletedWhileMounted) {
  ASSERT_EQ(shell("qemu-io -c 'write -q -P 1 0 3M' " + image_ + "; qemu-img snapshot -c old " + image_).exit_code, 0);
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  write(mounted, "2");
  const auto deleted = flatimg({"snapshot", "-d", "old", image_});
  EXPECT_EQ(deleted.exit_code, 0) << deleted.output;
  mounted.unmount();
  const auto judged = shell("qemu-img check -q " + image_ + "; test -z \"$(qemu-img snapshot -l " + image_ + ")\"");
  EXPECT_EQ(judged.exit_code, 0) << judged.output;
}

TEST_F(LiveSnapshot, CanBeTakenWhileSomebodyWritesAllTheTime) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const auto busy =
      shell("fio --name=w --filename=" + mounted.flat() +
            " --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=16 --size=8M --io_size=200M"
            " --time_based --runtime=3 --verify=crc32c --verify_async=1 --do_verify=0 --verify_state_save=0 > " +
            (dir_ / "fio.log") + " 2>&1 & for n in 1 2 3 4 5; do $FLATIMG snapshot -c n$n " + image_ +
            "; done; $FLATIMG snapshot -d n3 " + image_ + "; wait $!");
  EXPECT_EQ(busy.exit_code, 0) << busy.output;
  mounted.unmount();
  const auto judged =
      shell("qemu-img check " + image_ + "; test $(qemu-img snapshot -l " + image_ + " | grep -c n) -ge 4");
  EXPECT_EQ(judged.exit_code, 0) << judged.output;
}

TEST_F(LiveSnapshot, IsNotAppliedToADiskThatIsInUse) {
  ASSERT_EQ(shell("qemu-img snapshot -c old " + image_).exit_code, 0);
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  for (const std::string& name : {image_, mounted.flat()}) {
    const auto outcome = flatimg({"snapshot", "-a", "old", name});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
  }
  mounted.unmount();
}

TEST_F(LiveSnapshot, OfAReadOnlyMountOrOfARawImageIsOneClearLine) {
  ASSERT_EQ(shell("truncate -s 1M " + (dir_ / "r.img")).exit_code, 0);
  for (const auto& [image, option] : {std::pair{image_, "ro"}, {dir_ / "r.img", "rw"}}) {
    MountedImage mounted(image, mountpoint_, {option});
    ASSERT_TRUE(mounted.mounted());
    const auto outcome = flatimg({"snapshot", "-c", "s", mountpoint_});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.output.find("flatimg: "), 0u) << outcome.output;
    EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
    mounted.unmount();
  }
}

}  // namespace
}  // namespace flatimg::test
