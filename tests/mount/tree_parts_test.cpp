// Partitions of images as files of a mounted directory, used by ordinary tools without root's loop devices.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "mount/mounted_tree.h"

namespace flatimg::test {
namespace {

/// A qcow2 with a GPT: p1 of 8 MiB at 1 MiB, named EFI; p2 of 16 MiB at 16 MiB, with a name that is no file name.
class TreeParts : public MountedTree {
 protected:
  void SetUp() override {
    MountedTree::SetUp();
    if (IsSkipped()) return;
    if (!has_program("sfdisk")) GTEST_SKIP() << "sfdisk is not installed";
    partition("disk.qcow2", "label: gpt\nstart=2048, size=16384, name=EFI\nstart=32768, size=32768, name=\"../a b\"\n");
  }
  void partition(const std::string& name, const std::string& table) {
    expect_success("cd " + source_ + "; truncate -s 64M raw; sfdisk -q raw << 'END'\n" + table +
                   "\nEND\nqemu-img convert -O qcow2 raw " + name + "; rm raw");
  }
  [[nodiscard]] std::string part(unsigned n, const std::string& image = "disk.qcow2") const {
    return flat_ + "/.flatimg/" + image + "/p" + std::to_string(n);
  }
  static int open_for(const std::string& path, int flags) { return ::open(path.c_str(), flags | O_CLOEXEC); }

  std::string facts_ = flat_ + "/.flatimg/disk.qcow2";
  std::string whole_ = flat_ + "/disk.qcow2";
};

TEST_F(TreeParts, AreFilesOfTheirSizeUnderNumberAndPlainLabel) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(run({"ls", facts_}).output, "info.json\nmap.json\np1\np1.EFI\np2\nsnapshots\nstats.json\n");
  expect_success("test $(stat -c %s " + part(1) + ") = 8388608; test $(stat -c %s " + part(2) + ") = 16777216; test " +
                 part(1) + " -ef " + part(1) + ".EFI");
  expect_failure("stat " + part(3), "No such file");
  expect_failure("stat " + facts_ + "/p0", "No such file");
  const auto info = nlohmann::json::parse(contents_of(facts_ + "/info.json"));
  const auto& table = info.at("partition-table");
  EXPECT_EQ(table.at("scheme"), "gpt");
  EXPECT_EQ(table.at("partitions").at(1).at("name"), "../a b");
  EXPECT_EQ(table.at("partitions").at(1).at("start"), 16777216);
  mounted.unmount();
}

TEST_F(TreeParts, AreWhereLinuxAndSfdiskSeeThemAlsoLogicalOnes) {
  partition("mbr.qcow2",
            "label: dos\nstart=2048, size=2048, type=c\nstart=8192, size=65536, type=5\nstart=10240, size=4096\n"
            "start=20480, size=6144\n");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(run({"ls", flat_ + "/.flatimg/mbr.qcow2"}).output,
            "info.json\nmap.json\np1\np5\np6\nsnapshots\nstats.json\n");
  const auto theirs = nlohmann::json::parse(shell("sfdisk -J " + flat_ + "/mbr.qcow2").output);
  const auto ours = nlohmann::json::parse(contents_of(flat_ + "/.flatimg/mbr.qcow2/info.json"));
  unsigned compared = 0;
  for (const auto& one : ours.at("partition-table").at("partitions")) {
    for (const auto& other : theirs.at("partitiontable").at("partitions")) {
      if (other.at("start").get<std::uint64_t>() * 512 != one.at("start").get<std::uint64_t>()) continue;
      EXPECT_EQ(other.at("size").get<std::uint64_t>() * 512, one.at("size").get<std::uint64_t>());
      EXPECT_TRUE(other.at("node").get<std::string>().ends_with(std::to_string(one.at("number").get<int>())));
      ++compared;
    }
  }
  EXPECT_EQ(compared, 3u);
  mounted.unmount();
}

TEST_F(TreeParts, AFileSystemIsMadeAndFilledInOneWithoutALoopDevice) {
  if (!has_program("mkfs.ext4") || !has_program("debugfs")) GTEST_SKIP() << "e2fsprogs is not installed";
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("mkfs.ext4 -q -F " + part(2) + "; echo hello from p2 > " + (dir_ / "file") +
                 "; debugfs -w -R 'write " + (dir_ / "file") + " greeting' " + part(2) + "; e2fsck -fn " + part(2));
  EXPECT_EQ(shell("debugfs -R 'cat greeting' " + part(2) + " 2> /dev/null").output, "hello from p2\n");
  if (has_program("mkfs.vfat") && has_program("mcopy")) {
    expect_success("mkfs.vfat " + part(1) + " > /dev/null; mcopy -i " + part(1) + " " + (dir_ / "file") +
                   " ::greeting; mtype -i " + part(1) + " ::greeting | grep -q 'hello from p2'");
  }
  expect_success("cmp <(dd if=" + whole_ + " bs=1M skip=16 count=16 status=none) " + part(2));
  wait_until_closed();
  mounted.unmount();
  expect_success("qemu-img check -q " + source_ + "/disk.qcow2; qemu-img convert -O raw " + source_ + "/disk.qcow2 " +
                 (dir_ / "raw") + "; sfdisk -V " + (dir_ / "raw") + "; e2fsck -fn '" + (dir_ / "raw") +
                 "?offset=16777216'");
}

TEST_F(TreeParts, FuseFileSystemsAndArchiversReadThem) {
  if (!has_program("fuse2fs")) GTEST_SKIP() << "fuse2fs is not installed";
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("mkfs.ext4 -q -F " + part(2) + "; mkdir " + (dir_ / "fs") + "; fuse2fs -o fakeroot " + part(2) + " " +
                 (dir_ / "fs") + "; echo hello > " + (dir_ / "fs/file") + "; umount " + (dir_ / "fs"));
  expect_success("for n in $(seq 200); do pgrep -f \"fuse2fs.*" + part(2) +
                 "\" > /dev/null || break; sleep 0.05; done");
  EXPECT_EQ(shell("debugfs -R 'cat file' " + part(2) + " 2> /dev/null").output, "hello\n");
  if (has_program("7z")) expect_success("7z l " + part(2) + " | grep -q file");
  mounted.unmount();
}

// --- exclusion
// --------------------------------------------------------------------------------------------------------

TEST_F(TreeParts, TheWholeDiskAndItsPartsAreNotWrittenAtTheSameTime) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const int whole = open_for(whole_, O_RDWR);
  ASSERT_GE(whole, 0);
  EXPECT_EQ(open_for(part(1), O_RDWR), -1);
  EXPECT_EQ(errno, EBUSY);
  EXPECT_EQ(open_for(part(1), O_WRONLY), -1);
  EXPECT_EQ(errno, EBUSY);
  const int reader = open_for(part(1), O_RDONLY);
  EXPECT_GE(reader, 0) << "readers are free";
  ::close(reader);
  const int again = open_for(whole_, O_RDWR);
  EXPECT_GE(again, 0) << "the same file may be opened again";
  ::close(again);
  ::close(whole);
  const int writer = open_for(part(1), O_RDWR);
  EXPECT_GE(writer, 0) << "right after the last close";
  EXPECT_EQ(open_for(whole_, O_RDWR), -1);
  EXPECT_EQ(errno, EBUSY);
  const int whole_reader = open_for(whole_, O_RDONLY);
  EXPECT_GE(whole_reader, 0);
  ::close(whole_reader);
  ::close(writer);
  const int last = open_for(whole_, O_RDWR);
  EXPECT_GE(last, 0);
  ::close(last);
  mounted.unmount();
}

TEST_F(TreeParts, TwoAreWrittenAtOnceUnlessTheyOverlap) {
  partition("mbr.qcow2", "label: dos\nstart=2048, size=4096\nstart=8192, size=4096\nstart=16384, size=4096\n");
  // The third entry is made to begin in the middle of the second one.
  expect_success("cd " + source_ + "; qemu-io -c 'write -P 0x28 486 1' -c 'write -P 0 487 3' mbr.qcow2 > /dev/null");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const int first = open_for(part(1, "mbr.qcow2"), O_RDWR);
  const int second = open_for(part(2, "mbr.qcow2"), O_RDWR);
  EXPECT_GE(first, 0);
  EXPECT_GE(second, 0);
  ::close(second);
  expect_success("test $(stat -c %s " + part(3, "mbr.qcow2") + ") = 2097152");
  ::close(first);
  mounted.unmount();
}

TEST_F(TreeParts, NobodySeesOldPages) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const int whole = open_for(whole_, O_RDONLY);
  const int writer = open_for(part(2), O_RDWR);
  ASSERT_TRUE(whole >= 0 && writer >= 0);
  char* const map = static_cast<char*>(::mmap(nullptr, 64 << 20, PROT_READ, MAP_SHARED, whole, 0));
  ASSERT_NE(map, MAP_FAILED);
  for (char round = 1; round < 50; ++round) {
    const off_t at = 4096 * round + 7;
    char read_back = 0;
    ASSERT_EQ(::pread(whole, &read_back, 1, (16 << 20) + at), 1);
    const char mapped_before = map[(16 << 20) + at];
    EXPECT_EQ(mapped_before, 0);
    ASSERT_EQ(::pwrite(writer, &round, 1, at), 1);
    ASSERT_EQ(::pread(whole, &read_back, 1, (16 << 20) + at), 1);
    EXPECT_EQ(read_back, round);
    EXPECT_EQ(static_cast<volatile char*>(map)[(16 << 20) + at], round);
  }
  ASSERT_EQ(::fallocate(writer, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20), 0);
  EXPECT_EQ(static_cast<volatile char*>(map)[(16 << 20) + 4096 + 7], 0);
  ::munmap(map, 64 << 20);
  ::close(whole);
  ::close(writer);
  const int whole_writer = open_for(whole_, O_RDWR);
  const int reader = open_for(part(2), O_RDONLY);
  ASSERT_TRUE(whole_writer >= 0 && reader >= 0);
  char* const shared =
      static_cast<char*>(::mmap(nullptr, 64 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, whole_writer, 0));
  ASSERT_NE(shared, MAP_FAILED);
  shared[(16 << 20) + 99] = 'x';
  char seen = 0;
  ASSERT_EQ(::pread(reader, &seen, 1, 99), 1);
  EXPECT_EQ(seen, 'x') << "written to memory, and not yet back";
  ::munmap(shared, 64 << 20);
  ::close(whole_writer);
  ::close(reader);
  mounted.unmount();
}

// --- the edges
// --------------------------------------------------------------------------------------------------------

TEST_F(TreeParts, EndWhereTheyEnd) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const int p1 = open_for(part(1), O_RDWR);
  ASSERT_GE(p1, 0);
  const std::string text(4096, 'w');
  EXPECT_EQ(::pwrite(p1, text.data(), text.size(), (8 << 20) - 100), 100);
  EXPECT_EQ(::pwrite(p1, text.data(), text.size(), 8 << 20), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(::ftruncate(p1, 1), -1);
  EXPECT_EQ(::fallocate(p1, 0, 8 << 20, 4096), -1);
  char byte = 0;
  EXPECT_EQ(::pread(p1, &byte, 1, 8 << 20), 0);
  EXPECT_EQ(::lseek(p1, 0, SEEK_DATA), (8 << 20) - (64 << 10)) << "the cluster that was written";
  EXPECT_EQ(::lseek(p1, (8 << 20) - 1, SEEK_HOLE), 8 << 20);
  EXPECT_EQ(::fsync(p1), 0);
  ::close(p1);
  expect_success("printf x | dd of=" + part(1) + " status=none; test $(stat -c %s " + part(1) + ") = 8388608");
  expect_failure("rm " + part(1), "not permitted");
  expect_failure("chmod 777 " + part(1), "not permitted");
  mounted.unmount();
}

TEST_F(TreeParts, OfAReadOnlyMountAreRead) {
  const std::string before = shell("sha256sum " + source_ + "/disk.qcow2").output;
  MountedImage mounted(source_, flat_, {"ro"});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(open_for(part(1), O_RDWR), -1);
  EXPECT_EQ(errno, EROFS);
  expect_success("test $(head -c 1M " + part(1) + " | wc -c) = 1048576");
  mounted.unmount();
  EXPECT_EQ(shell("sha256sum " + source_ + "/disk.qcow2").output, before);
}

TEST_F(TreeParts, AreOpenToWhomTheImageIs) {
  if (!has_program("setpriv")) GTEST_SKIP() << "setpriv is not installed";
  expect_success("chmod 755 " + dir_.path().string() + "; chmod 644 " + source_ + "/disk.qcow2");
  MountedImage mounted(source_, flat_, {"allow_other"});
  ASSERT_TRUE(mounted.mounted());
  const std::string as_user = "setpriv --reuid 1234 --regid 1234 --clear-groups ";
  expect_success(as_user + "head -c 512 " + part(1) + " > /dev/null");
  expect_failure(as_user + "dd if=/dev/zero of=" + part(1) + " count=1", "ermission denied");
  expect_success("chmod 600 " + source_ + "/disk.qcow2");
  expect_failure(as_user + "head -c 512 " + part(1), "ermission denied");
  mounted.unmount();
}

TEST_F(TreeParts, TheDiskIsPartitionedThroughTheMountAndTheyAppear) {
  expect_success("qemu-img create -q -f qcow2 " + source_ + "/empty.qcow2 64M");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(run({"ls", flat_ + "/.flatimg/empty.qcow2"}).output, "info.json\nmap.json\nsnapshots\nstats.json\n");
  expect_success("printf 'label: gpt\\nsize=1M\\nsize=2M\\n' | sfdisk -q " + flat_ + "/empty.qcow2");
  expect_success("test $(stat -c %s " + part(2, "empty.qcow2") + ") = 2097152");
  mounted.unmount();
}

}  // namespace
}  // namespace flatimg::test
