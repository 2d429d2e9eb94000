// .flatimg/ in the mount of one image on a directory: what is told of it, its partitions and its snapshots.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "mount/mounted_image.h"
#include "mount/scripts.h"

namespace flatimg::test {
namespace {

/// A qcow2 with a GPT (p1 of 8 MiB at 1 MiB, p2 of 16 MiB at 16 MiB) and a snapshot "before" in which p2 begins with
/// "old".
class ImageFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    if (!has_program("sfdisk")) GTEST_SKIP() << "sfdisk is not installed";
    expect_success("cd " + dir_.path().string() +
                   "; mkdir mnt; truncate -s 64M raw; printf 'label: gpt\\nstart=2048, size=16384, name=EFI\\n"
                   "start=32768, size=32768\\n' | sfdisk -q raw; printf old | dd of=raw bs=1M seek=16 conv=notrunc "
                   "status=none; qemu-img convert -O qcow2 raw d.qcow2; rm raw; qemu-img snapshot -c before d.qcow2;"
                   "qemu-img snapshot -c a/b d.qcow2; qemu-io -c 'write -q -P 7 16M 1M' d.qcow2");
  }
  static int open_for(const std::string& path, int flags) { return ::open(path.c_str(), flags | O_CLOEXEC); }

  TempDir dir_;
  std::string image_ = dir_ / "d.qcow2";
  std::string mountpoint_ = dir_ / "mnt";
  std::string facts_ = mountpoint_ + "/.flatimg/d.qcow2";
};

TEST_F(ImageFolder, HasWhatADirectoryMountHas) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(run({"ls", facts_}).output, "info.json\nmap.json\np1\np1.EFI\np2\nsnapshots\nstats.json\n");
  EXPECT_EQ(run({"ls", facts_ + "/snapshots"}).output, "2\nbefore\n");
  expect_success("ls -lR " + mountpoint_ + "/.flatimg; cd " + facts_ +
                 "; for name in *.json; do python3 -m json.tool " +
                 "$name > /dev/null; done; test $(stat -c %s p2) = 16777216; test p1 -ef p1.EFI");
  const auto info = nlohmann::json::parse(contents_of(facts_ + "/info.json"));
  EXPECT_EQ(info.at("cluster-size"), 65536);
  EXPECT_EQ(info.at("snapshots").size(), 2u);
  EXPECT_EQ(info.at("partition-table").at("partitions").at(0).at("name"), "EFI");
  const auto map = nlohmann::json::parse(contents_of(facts_ + "/map.json"));
  EXPECT_EQ(map.back().at("start").get<int>() + map.back().at("length").get<int>(), 64 << 20);
  const auto at_p2 = std::ranges::find_if(map, [](const auto& entry) { return entry.at("start") == 16 << 20; });
  ASSERT_NE(at_p2, map.end());
  EXPECT_EQ(at_p2->at("data"), true);
  expect_failure("cat " + facts_ + "/p3", "No such file");
  expect_failure("touch " + facts_ + "/new", "not permitted");
  expect_failure("rm " + facts_ + "/p1", "not permitted");
  expect_failure("echo x > " + facts_ + "/snapshots/before", "ermission denied");
  mounted.unmount();
}

TEST_F(ImageFolder, PartitionsAreReadAndWritten) {
  if (!has_program("mkfs.ext4") || !has_program("debugfs")) GTEST_SKIP() << "e2fsprogs is not installed";
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("mkfs.ext4 -q -F " + facts_ + "/p2; echo hello > " + (dir_ / "file") + "; debugfs -w -R 'write " +
                 (dir_ / "file") + " greeting' " + facts_ + "/p2; e2fsck -fn " + facts_ + "/p2");
  expect_success("cmp <(dd if=" + mounted.flat() + " bs=1M skip=16 count=16 status=none) " + facts_ + "/p2");
  mounted.unmount();
  expect_success("qemu-img check -q " + image_ + "; qemu-img convert -O raw " + image_ + " " + (dir_ / "raw") +
                 "; debugfs -R 'cat greeting' '" + (dir_ / "raw") + "?offset=16777216' 2> /dev/null | grep -q hello");
}

TEST_F(ImageFolder, TheWholeDiskAndItsPartsAreNotWrittenAtTheSameTime) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const int whole = open_for(mounted.flat(), O_RDWR);
  ASSERT_GE(whole, 0);
  EXPECT_EQ(open_for(facts_ + "/p1", O_RDWR), -1);
  EXPECT_EQ(errno, EBUSY);
  ::close(whole);
  const int first = open_for(facts_ + "/p1", O_RDWR);
  const int second = open_for(facts_ + "/p2", O_RDWR);
  EXPECT_TRUE(first >= 0 && second >= 0);
  EXPECT_EQ(open_for(mounted.flat(), O_RDWR), -1);
  EXPECT_EQ(errno, EBUSY);
  ::close(first);
  ::close(second);
  const int again = open_for(mounted.flat(), O_RDWR);
  EXPECT_GE(again, 0);
  ::close(again);
  mounted.unmount();
}

TEST_F(ImageFolder, NobodySeesOldPagesAlsoWhenTheKernelWritesBackLate) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  char seen = 0;
  const int whole = open_for(mounted.flat(), O_RDWR);
  const int reader = open_for(facts_ + "/p2", O_RDONLY);
  ASSERT_TRUE(whole >= 0 && reader >= 0);
  for (char round = 1; round < 50; ++round) {
    ASSERT_EQ(::pwrite(whole, &round, 1, (16 << 20) + 5000 * round), 1);
    ASSERT_EQ(::pread(reader, &seen, 1, 5000 * round), 1);
    EXPECT_EQ(seen, round) << "written, and not yet back";
  }
  ::close(whole);
  ::close(reader);
  const int writer = open_for(facts_ + "/p2", O_RDWR);
  const int whole_reader = open_for(mounted.flat(), O_RDONLY);
  ASSERT_TRUE(writer >= 0 && whole_reader >= 0);
  for (char round = 1; round < 50; ++round) {
    ASSERT_EQ(::pread(whole_reader, &seen, 1, (16 << 20) + 7000 * round), 1);
    const char other = static_cast<char>(seen + 1);
    ASSERT_EQ(::pwrite(writer, &other, 1, 7000 * round), 1);
    ASSERT_EQ(::pread(whole_reader, &seen, 1, (16 << 20) + 7000 * round), 1);
    EXPECT_EQ(seen, other);
  }
  ::close(writer);
  ::close(whole_reader);
  mounted.unmount();
  expect_success("qemu-img check -q " + image_);
}

TEST_F(ImageFolder, ARepartitionedDiskHasOtherFiles) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("test $(stat -c %s " + facts_ + "/p2) = 16777216; printf 'label: gpt\\nsize=2M\\nsize=3M\\n' | " +
                 "sfdisk -q --wipe never " + mounted.flat() + " && test $(stat -c %s " + facts_ +
                 "/p2) = 3145728; test $(wc -c < " + facts_ + "/p2) = 3145728");
  mounted.unmount();
}

// --- snapshots
// --------------------------------------------------------------------------------------------------------

TEST_F(ImageFolder, SnapshotsAreReadAlsoWhileTheDiskIsWritten) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const std::string before = facts_ + "/snapshots/before";
  expect_success("test $(stat -c %s:%a " + before + ") = 67108864:444; exec 3< " + before +
                 "; dd if=/dev/zero of=" + mounted.flat() + " bs=1M seek=16 count=4 conv=notrunc,fsync status=none;" +
                 "test $(dd bs=1M skip=16 count=1 status=none <&3 | head -c 3) = old");
  mounted.unmount();
  expect_success("qemu-img check -q " + image_);
}

TEST_F(ImageFolder, ASnapshotThatIsOpenIsNotDeleted) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  Conversation reader({"bash", "-c", "exec 3< " + facts_ + "/snapshots/before; echo open; read line"});
  reader.read_until("open");
  expect_failure("$FLATIMG snapshot -d before " + mounted.flat(), "is open in .flatimg");
  reader.finish();
  expect_success("for n in $(seq 100); do $FLATIMG snapshot -d before " + mounted.flat() +
                 " 2> /dev/null && exit 0; sleep 0.05; done; exit 1");
  expect_success("$FLATIMG snapshot -c later " + mounted.flat());
  EXPECT_EQ(run({"ls", facts_ + "/snapshots"}).output, "2\nlater\n");
  mounted.unmount();
}

TEST_F(ImageFolder, WorksOverTheDirectoryOfTheImage) {
  MountedImage mounted(image_, dir_.path().string());
  ASSERT_TRUE(mounted.mounted());
  const std::string facts = dir_ / ".flatimg/d.qcow2";
  EXPECT_EQ(run({"ls", facts + "/snapshots"}).output, "2\nbefore\n");
  expect_success("test $(dd if=" + facts + "/snapshots/before bs=1M skip=16 count=1 status=none | head -c 3) = old; " +
                 "printf new | dd of=" + facts + "/p2 conv=notrunc status=none; grep -q cluster-size " + facts +
                 "/info.json");
  mounted.unmount();
}

TEST_F(ImageFolder, OfAnOverlayIsThatOfTheOverlay) {
  MountedImage mounted(image_, mountpoint_, {"overlay=" + (dir_ / "overlay.qcow2")});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(run({"ls", facts_ + "/snapshots"}).output, "");
  expect_success("printf new | dd of=" + facts_ + "/p2 conv=notrunc status=none; $FLATIMG snapshot -c s " +
                 mounted.flat() + "; printf xyz | dd of=" + facts_ + "/p2 conv=notrunc status=none; test $(dd if=" +
                 facts_ + "/snapshots/s bs=1M skip=16 count=1 status=none | head -c 3) = new");
  mounted.unmount();
}

TEST_F(ImageFolder, OfAReadOnlyMountIsRead) {
  const std::string before = shell("sha256sum " + image_).output;
  MountedImage mounted(image_, mountpoint_, {"ro"});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(open_for(facts_ + "/p1", O_RDWR), -1);
  EXPECT_EQ(errno, EROFS);
  expect_success("head -c 1M " + facts_ + "/p2 > /dev/null; cat " + facts_ + "/snapshots/before > /dev/null");
  mounted.unmount();
  EXPECT_EQ(shell("sha256sum " + image_).output, before);
}

}  // namespace
}  // namespace flatimg::test
