// The tree that a mount shows.
#include "fuse/names.h"

#include <gmock/gmock.h>

namespace flatimg::flat {
namespace {

using testing::ElementsAre;

std::vector<std::string> listed(const Names& names, Node directory) {
  std::vector<std::string> result;
  for (const Names::Listed& entry : names.list(directory)) result.push_back(entry.name);
  return result;
}

TEST(Names, ADirectoryMountShowsExactlyTheFlatFile) {
  const Names names(Shape::Directory, "disk.qcow2");
  EXPECT_THAT(listed(names, Node::Root), ElementsAre(".", "..", "disk.qcow2"));
  EXPECT_EQ(names.lookup(Node::Root, "disk.qcow2"), Node::Flat);
  EXPECT_EQ(names.lookup(Node::Root, "disk"), std::nullopt);
  EXPECT_EQ(names.links(Node::Root), 2u);
}

TEST(Names, TheFactsAreHiddenButCanBeEntered) {
  const Names names(Shape::Directory, "disk.qcow2");
  ASSERT_EQ(names.lookup(Node::Root, ".flatimg"), Node::Facts);
  EXPECT_THAT(listed(names, Node::Facts), ElementsAre(".", "..", "disk.qcow2"));
  ASSERT_EQ(names.lookup(Node::Facts, "disk.qcow2"), Node::ImageFacts);
  EXPECT_THAT(listed(names, Node::ImageFacts), ElementsAre(".", "..", "stats.json", "info.json"));
  EXPECT_EQ(names.lookup(Node::ImageFacts, "stats.json"), Node::Stats);
  EXPECT_EQ(names.links(Node::Facts), 3u);
}

TEST(Names, AnImageCalledLikeTheFactsIsShownInTheirPlace) {
  const Names names(Shape::Directory, ".flatimg");
  EXPECT_EQ(names.lookup(Node::Root, ".flatimg"), Node::Flat);
}

TEST(Names, OfAFileMountpointThereIsOne) {
  const Names names(Shape::File, "disk.qcow2");
  EXPECT_EQ(names.find(1), Node::Flat);
  EXPECT_EQ(names.find(2), std::nullopt);
  EXPECT_EQ(names.number_of(Node::Flat), 1u);
  EXPECT_EQ(names.lookup(Node::Flat, ".flatimg"), std::nullopt);
}

TEST(Names, NumbersLeadBackToTheirNodesAndOthersNowhere) {
  const Names names(Shape::Directory, "disk");
  for (const Node node : {Node::Root, Node::Flat, Node::Facts, Node::ImageFacts, Node::Stats, Node::Info}) {
    EXPECT_EQ(names.find(names.number_of(node)), node);
  }
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{257}, ~std::uint64_t{0}}) {
    EXPECT_EQ(names.find(number), std::nullopt) << number;
  }
}

}  // namespace
}  // namespace flatimg::flat
