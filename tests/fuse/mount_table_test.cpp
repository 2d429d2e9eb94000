// Lines of /proc/self/mountinfo.
#include "fuse/mount_table.h"

#include <gtest/gtest.h>

namespace flatimg::flat {
namespace {

TEST(MountTable, ReadsOurMount) {
  const auto entry = parse_mount_line(
      "120 30 0:57 / /mnt/my\\040disk rw,nosuid,nodev shared:5 master:1 - fuse.flatimg /img/a\\134b,c.qcow2 "
      "rw,user_id=1000,group_id=1000,default_permissions");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->mountpoint, "/mnt/my disk");
  EXPECT_EQ(entry->source, "/img/a\\b,c.qcow2");
  EXPECT_EQ(entry->device_major, 0u);
  EXPECT_EQ(entry->device_minor, 57u);
  EXPECT_EQ(entry->mounter, 1000u);
  EXPECT_TRUE(entry->is_ours());
}

TEST(MountTable, ReadsOthersWithoutOptionalFields) {
  const auto entry = parse_mount_line("22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->mountpoint, "/");
  EXPECT_EQ(entry->mounter, std::nullopt);
  EXPECT_FALSE(entry->is_ours());
}

TEST(MountTable, LinesThatAreCutShortAreNoMounts) {
  for (const char* line : {"", "22 1", "22 1 8:1 / / rw", "22 1 8:1 / / rw - ext4 x", "22 1 81 / / rw - ext4 x rw"}) {
    EXPECT_FALSE(parse_mount_line(line)) << line;
  }
}

}  // namespace
}  // namespace flatimg::flat
