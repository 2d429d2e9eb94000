// What becomes of a mounted image when a write meets a contradiction (iotest 060): that write fails, the image is
// marked and is read-only, and what was there is still read.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "mount/mounted_tree.h"
#include "support/qcow2_builder.h"

namespace flatimg::test {
namespace {

/// Guest clusters 0 to 2 hold data; the entry of cluster 9 leads to a place where a table is.
void make_broken_image(const std::string& path, std::uint64_t (Qcow2Builder::*table)() const,
                       std::uint32_t version = 3) {
  Qcow2Builder image({.version = version});
  for (const std::uint64_t guest : {0u, 1u, 2u}) image.add_data(guest);
  image.put64(image.l2_entry(9), (image.*table)() | qcow2::kCopied);
  image.save(path);
}

std::string write_cluster(const std::string& flat, unsigned cluster) {
  return "dd status=none conv=notrunc oflag=direct if=/dev/zero of=" + flat +
         " bs=4k count=1 seek=" + std::to_string(cluster);
}

std::string read_cluster(const std::string& flat, unsigned cluster) {
  return "dd status=none iflag=direct if=" + flat + " bs=4k count=1 skip=" + std::to_string(cluster) +
         " | tr -d Z | wc -c";
}

class BrokenImage : public ::testing::TestWithParam<std::uint64_t (Qcow2Builder::*)() const> {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    ::mkdir(mountpoint_.c_str(), 0755);
  }
  TempDir dir_;
  std::string image_ = dir_ / "disk.qcow2";
  std::string mountpoint_ = dir_ / "mnt";
};

TEST_P(BrokenImage, FailsTheWriteTurnsReadOnlyAndIsMendedByARepair) {
  make_broken_image(image_, GetParam());
  {
    MountedImage mounted(image_, mountpoint_, {"audit=off"});
    ASSERT_TRUE(mounted.mounted());
    expect_success(write_cluster(mounted.flat(), 1));
    expect_failure(write_cluster(mounted.flat(), 9), "Input/output error");
    expect_failure(write_cluster(mounted.flat(), 1), "Read-only file system");
    expect_failure(": 1<>" + mounted.flat(), "Read-only file system");
    expect_success("[ $(" + read_cluster(mounted.flat(), 2) + ") = 0 ]");
    expect_success("qemu-img info -U " + image_ + " | grep -q 'corrupt: true'");
    expect_success("$FLATIMG status --output=json " + mountpoint_ + " | grep -q '\"writable\": false'");
    expect_success("grep -q '\"corrupt\": true' " + mountpoint_ + "/.flatimg/disk.qcow2/info.json");
    EXPECT_EQ(mounted.unmount().exit_code, 0);
  }
  expect_success("$FLATIMG check -r all " + image_ + "; qemu-img check -q " + image_);
  MountedImage mended(image_, mountpoint_, {"audit=off"});
  ASSERT_TRUE(mended.mounted());
  expect_success(write_cluster(mended.flat(), 1));
  // Where the L1 table lies, a repair counts the cluster for both, and nobody writes it.
  if (GetParam() != &Qcow2Builder::l1_table) expect_success(write_cluster(mended.flat(), 9));
  EXPECT_EQ(mended.unmount().exit_code, 0);
}

INSTANTIATE_TEST_SUITE_P(Tables, BrokenImage,
                         ::testing::Values(&Qcow2Builder::l1_table, &Qcow2Builder::refcount_block,
                                           &Qcow2Builder::refcount_table));

// --- found by the audit ---------------------------------------------------------------------------------------------

class Audited : public BrokenImage {};

TEST_P(Audited, ImageTurnsReadOnlyWhileNobodyAsksForAnything) {
  make_broken_image(image_, GetParam());
  {
    MountedImage mounted(image_, mountpoint_);
    ASSERT_TRUE(mounted.mounted());
    expect_success("for n in $(seq 100); do qemu-img info -U " + image_ +
                   " | grep -q 'corrupt: true' && exit 0; sleep 0.2; done; exit 1");
    expect_failure(write_cluster(mounted.flat(), 1), "Read-only file system");
    expect_success("[ $(" + read_cluster(mounted.flat(), 2) + ") = 0 ]");
    expect_success("$FLATIMG status --output=json " + mountpoint_ + " | grep -q '\"corruption\".*holds a table'");
    EXPECT_EQ(mounted.unmount().exit_code, 0);
  }
  expect_success("$FLATIMG check -r all " + image_ + "; qemu-img check -q " + image_);
  MountedImage mended(image_, mountpoint_);
  ASSERT_TRUE(mended.mounted());
  expect_success(write_cluster(mended.flat(), 9));
  // Asking for the status is a request as well: not too often.
  expect_success("for n in $(seq 8); do sleep 3; $FLATIMG status --output=json " + mountpoint_ +
                 " | grep -q '\"audits\": [1-9]' && exit 0; done; exit 1");
  expect_success(write_cluster(mended.flat(), 1));
  EXPECT_EQ(mended.unmount().exit_code, 0);
}

TEST_P(Audited, ImageIsLeftAloneWithoutAudit) {
  make_broken_image(image_, GetParam());
  expect_success("cp " + image_ + " " + (dir_ / "copy"));
  MountedImage mounted(image_, mountpoint_, {"audit=off"});
  ASSERT_TRUE(mounted.mounted());
  expect_success("sleep 3; $FLATIMG status --output=json " + mountpoint_ + " | grep -q '\"corrupt\": false'");
  EXPECT_EQ(mounted.unmount().exit_code, 0);
  expect_success("cmp " + image_ + " " + (dir_ / "copy"));
}

INSTANTIATE_TEST_SUITE_P(Tables, Audited, ::testing::Values(&Qcow2Builder::refcount_block));

class BrokenTree : public MountedTree {};

TEST_F(BrokenTree, TellsOfTheImageAndServesTheOthers) {
  make_broken_image(source_ + "/broken", &Qcow2Builder::l1_table, 2);
  make_image("sound");
  MountedImage mounted(source_, flat_, {"audit=off"});
  ASSERT_TRUE(mounted.mounted());
  expect_success("exec 3<>" + flat_ + "/broken; ! dd status=none conv=notrunc if=/dev/zero bs=4k count=1 seek=9 of=" +
                 flat_ + "/broken; $FLATIMG status --output=json " + flat_ + " | grep -q '\"corruption\"'; ! : 4<>" +
                 flat_ + "/broken; grep -q '\"corrupt\": true' " + flat_ + "/.flatimg/broken/info.json");
  expect_success("dd status=none conv=notrunc,fsync if=/dev/zero bs=4k count=1 of=" + flat_ + "/sound");
  wait_until_closed();
  EXPECT_EQ(mounted.unmount().exit_code, 0);
}

TEST_F(BrokenTree, IsAuditedWhileAnImageIsOpenForWriting) {
  make_broken_image(source_ + "/broken", &Qcow2Builder::l1_table);
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("exec 3<" + flat_ + "/broken; sleep 3; ! qemu-img info -U " + source_ +
                 "/broken | grep -q 'corrupt: true'");
  wait_until_closed();
  // One process alone has it open: each that inherits it and ends is a request.
  expect_success("sleep 60 3<>" + flat_ + "/broken & for n in $(seq 100); do qemu-img info -U " + source_ +
                 "/broken | grep -q 'corrupt: true' && break; sleep 0.2; done; kill $!; [ $n -lt 100 ]");
  wait_until_closed();
  EXPECT_EQ(mounted.unmount().exit_code, 0);
}

}  // namespace
}  // namespace flatimg::test
