// .flatimg/ of a directory of images.
#include <gtest/gtest.h>

#include "mount/mounted_tree.h"

namespace flatimg::test {
namespace {

class TreeFacts : public MountedTree {
 protected:
  void SetUp() override {
    MountedTree::SetUp();
    if (IsSkipped()) return;
    make_image("deep/disk.qcow2", "1");
    expect_success("cd " + source_ + "/deep; echo text > notes; qemu-img snapshot -c before disk.qcow2; " +
                   "qemu-io -c 'write -q -P 2 0 512k' disk.qcow2; qemu-img snapshot -c 'with/slash' disk.qcow2");
  }
  std::string facts_ = flat_ + "/.flatimg/deep/disk.qcow2";
};

TEST_F(TreeFacts, AreNeverListedAndMirrorTheDirectories) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(run({"ls", "-A", flat_}).output, "deep\n");
  EXPECT_EQ(run({"ls", "-A", flat_ + "/.flatimg"}).output, "deep\n");
  EXPECT_EQ(run({"ls", "-A", flat_ + "/.flatimg/deep"}).output, "disk.qcow2\n");
  EXPECT_EQ(run({"ls", facts_}).output, "info.json\nmap.json\nsnapshots\nstats.json\n");
  expect_success("ls -lR " + flat_ + "/.flatimg; cd " + facts_ +
                 "; for name in *.json; do python3 -m json.tool $name > /dev/null; done");
  expect_failure("touch " + facts_ + "/new", "not permitted");
  expect_failure("rm " + facts_ + "/info.json", "not permitted");
  expect_failure("mkdir " + flat_ + "/.flatimg", "exists");
  expect_failure("cat " + flat_ + "/.flatimg/deep/notes/info.json", "No such file");
  mounted.unmount();
}

TEST_F(TreeFacts, TellWhatQemuImgTells) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("grep -q '\"virtual-size\": 16777216' " + facts_ + "/info.json; grep -q '\"name\": \"before\"' " +
                 facts_ + "/info.json; grep -q '\"open\": false' " + facts_ + "/stats.json; exec 3< " + flat_ +
                 "/deep/disk.qcow2; grep -q '\"open\": true' " + facts_ + "/stats.json");
  expect_success("qemu-img map -U --output=json " + source_ + "/deep/disk.qcow2 | python3 -m json.tool > " +
                 (dir_ / "a") + "; python3 -m json.tool < " + facts_ + "/map.json > " + (dir_ / "b") + "; diff " +
                 (dir_ / "a") + " " + (dir_ / "b"));
  mounted.unmount();
}

TEST_F(TreeFacts, SnapshotsAreReadOnlyDisksAlsoWhileTheDiskIsWritten) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(run({"ls", facts_ + "/snapshots"}).output, "2\nbefore\n");  // a name with a slash is told by its ID
  const std::string before = facts_ + "/snapshots/before";
  expect_success("test $(stat -c %s:%a " + before + ") = 16777216:444; qemu-io -r -f raw -c 'read -P 1 0 1M' " +
                 before + " | grep -vq failed");
  expect_success("exec 3< " + before + "; qemu-io -f raw -c 'write -P 9 0 2M' -c flush " + flat_ +
                 "/deep/disk.qcow2 | grep -q wrote; cmp -n 65536 <(head -c 65536 <&3) <(head -c 65536 /dev/zero | tr "
                 "'\\0' '\\1')");
  expect_success("qemu-io -r -f raw -c 'read -P 2 0 512k' -c 'read -P 1 512k 512k' " + facts_ + "/snapshots/2 > " +
                 (dir_ / "log") + "; ! grep failed " + (dir_ / "log"));
  expect_failure("echo x >> " + before, "ermission denied");
  wait_until_closed();
  expect_success("qemu-img check -q " + source_ + "/deep/disk.qcow2");
  mounted.unmount();
}

// --- snapshots of images that are mounted ----------------------------------------------------------------------------

TEST_F(TreeFacts, SnapshotsAreTakenAndDeletedThroughTheMount) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const std::string disk = flat_ + "/deep/disk.qcow2";
  expect_success("exec 3<> " + disk + "; printf first >&3; $FLATIMG snapshot -c now " + disk +
                 "; printf second | dd of=" + disk + " conv=notrunc status=none; test $(head -c 5 " + facts_ +
                 "/snapshots/now) = first; test $(head -c 6 " + disk + ") = second");
  EXPECT_EQ(run({"ls", facts_ + "/snapshots"}).output, "2\nbefore\nnow\n");
  expect_success("$FLATIMG snapshot -d before " + disk);
  EXPECT_EQ(run({"ls", facts_ + "/snapshots"}).output, "2\nnow\n");
  expect_failure("$FLATIMG snapshot -d before " + disk, "before");
  expect_failure("$FLATIMG snapshot -c x " + flat_ + "/deep/notes", "name an image");
  expect_failure("$FLATIMG snapshot -c x " + flat_, "name an image");
  wait_until_closed();
  mounted.unmount();
  expect_success("qemu-img check -q " + source_ + "/deep/disk.qcow2; qemu-img snapshot -l " + source_ +
                 "/deep/disk.qcow2 | grep -q now");
}

TEST_F(TreeFacts, ASnapshotThatIsOpenIsNotDeletedAndNoneIsMadeReadOnly) {
  {
    MountedImage mounted(source_, flat_);
    ASSERT_TRUE(mounted.mounted());
    Conversation reader({"bash", "-c", "exec 3< " + facts_ + "/snapshots/before; echo open; read line; head -c 1 <&3"});
    reader.read_until("open");
    expect_failure("$FLATIMG snapshot -d before " + flat_ + "/deep/disk.qcow2", "is open in .flatimg");
    expect_success("$FLATIMG snapshot -c other " + flat_ + "/deep/disk.qcow2");
    reader.say("");
    EXPECT_EQ(reader.finish().output, "\1");
    mounted.unmount();
  }
  MountedImage mounted(source_, flat_, {"ro"});
  ASSERT_TRUE(mounted.mounted());
  expect_failure("$FLATIMG snapshot -c x " + flat_ + "/deep/disk.qcow2", "read-only");
  mounted.unmount();
}

TEST_F(TreeFacts, NobodyIsToldOfAnImageWhoMayNotReadIt) {
  if (!has_program("setpriv")) GTEST_SKIP() << "setpriv is not installed";
  expect_success("chmod 755 " + dir_.path().string() + "; chmod 600 " + source_ + "/deep/disk.qcow2");
  MountedImage mounted(source_, flat_, {"allow_other"});
  ASSERT_TRUE(mounted.mounted());
  const std::string as_user = "setpriv --reuid 1234 --regid 1234 --clear-groups ";
  expect_failure(as_user + "cat " + facts_ + "/info.json", "ermission denied");
  expect_failure(as_user + "ls " + facts_ + "/snapshots", "ermission denied");
  expect_success(as_user + "ls " + flat_ + "/.flatimg/deep");
  mounted.unmount();
}

}  // namespace
}  // namespace flatimg::test
