// Names that .flatimg/ makes of what images say.
#include "fuse/image_folder.h"

#include <gmock/gmock.h>

namespace flatimg::flat {
namespace {

using testing::ElementsAre;

std::vector<std::string> names(const std::vector<SnapshotInfo>& snapshots) {
  std::vector<std::string> result;
  for (const SnapshotName& one : names_of(snapshots)) result.push_back(one.name);
  return result;
}

SnapshotInfo snapshot(const std::string& id, const std::string& name) {
  SnapshotInfo info;
  info.id = id;
  info.name = name;
  return info;
}

TEST(ImageFolder, ASnapshotHasItsNameUnlessThatCannotBeOneOrIsTaken) {
  EXPECT_THAT(names({snapshot("1", "a"), snapshot("2", "a"), snapshot("3", "../b"), snapshot("4", ""),
                     snapshot("5", ".."), snapshot("6", std::string(300, 'x'))}),
              ElementsAre("a", "2", "3", "4", "5", "6"));
  EXPECT_THAT(names({snapshot("2", "x"), snapshot("1", "2"), snapshot("x", "x")}), ElementsAre("x", "2"));
}

TEST(ImageFolder, APartitionHasItsNumberAndItsPlainLabel) {
  partitions::Partition one;
  one.number = 12;
  EXPECT_THAT(names_of(one), ElementsAre("p12"));
  one.label = "EFI-System";
  EXPECT_THAT(names_of(one), ElementsAre("p12", "p12.EFI-System"));
  one.label = "../../etc/passwd";
  EXPECT_THAT(names_of(one), ElementsAre("p12"));
}

TEST(ImageFolder, OnlyNamesThatCanBePartitionsAskForTheTable) {
  EXPECT_TRUE(may_name_a_partition("p1"));
  EXPECT_TRUE(may_name_a_partition("p12.EFI"));
  for (const char* name : {"p", "p0", "1", "", "px", "P1"}) EXPECT_FALSE(may_name_a_partition(name)) << name;
}

}  // namespace
}  // namespace flatimg::flat
