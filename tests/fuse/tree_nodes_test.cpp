// The nodes of a directory of images.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "fuse/tree/nodes.h"

namespace flatimg::flat::tree {
namespace {

Seen file(std::uint64_t inode, std::int64_t birth = 1) {
  Seen seen;
  seen.status.st_mode = S_IFREG;
  seen.key = {7, inode, birth};
  return seen;
}

KnownKind image() {
  KnownKind kind;
  kind.kind = KnownKind::Kind::Image;
  return kind;
}

class TreeNodes : public ::testing::Test {
 protected:
  static Seen root() {
    Seen seen = file(1);
    seen.status.st_mode = S_IFDIR;
    return seen;
  }
  Place at(const std::string& name) { return {nodes_.root(), name}; }
  NodePtr enter(const Seen& seen, const KnownKind& kind = {}, const std::string& name = "name") {
    return nodes_.enter(seen, kind, at(name), Descriptor());
  }
  Nodes nodes_{Descriptor(::open("/", O_PATH | O_CLOEXEC)), root()};
};

TEST_F(TreeNodes, AFileIsOneNodeByWhicheverName) {
  const NodePtr first = enter(file(10), {}, "a");
  EXPECT_EQ(enter(file(10), {}, "b"), first);
  EXPECT_EQ(nodes_.place_of(*first).name, "b");
  EXPECT_NE(enter(file(11)), first);
}

TEST_F(TreeNodes, ANumberIsNeverGivenTwice) {
  const std::uint64_t number = enter(file(10))->number;
  nodes_.forget(number, 1);
  EXPECT_EQ(nodes_.find(number), nullptr);
  EXPECT_GT(enter(file(10))->number, number);
}

TEST_F(TreeNodes, AnInodeThatWasGivenToAnotherFileIsAnotherNode) {
  const NodePtr first = enter(file(10, 1));
  EXPECT_NE(enter(file(10, 2)), first);
}

TEST_F(TreeNodes, ANodeLivesAsLongAsTheKernelCountsLookupsOrAHandleIsOpen) {
  const NodePtr node = enter(file(10));
  enter(file(10));
  nodes_.forget(node->number, 1);
  EXPECT_NE(nodes_.find(node->number), nullptr);
  EXPECT_EQ(nodes_.add_handle(*node, nullptr), 0u);
  nodes_.forget(node->number, 1);
  EXPECT_NE(nodes_.find(node->number), nullptr);
  nodes_.remove_handle(*node);
  EXPECT_EQ(nodes_.find(node->number), nullptr);
  EXPECT_EQ(nodes_.count(), 1u);
}

TEST_F(TreeNodes, ForgettingMoreThanThereIsDoesNoHarmAndTheRootIsNeverForgotten) {
  const NodePtr node = enter(file(10));
  nodes_.forget(node->number, 1000);
  nodes_.forget(node->number, 1);
  nodes_.forget(Nodes::kRoot, 1000);
  EXPECT_NE(nodes_.find(Nodes::kRoot), nullptr);
}

TEST_F(TreeNodes, AFileThatBecomesAnImageGetsAnotherNumber) {
  const NodePtr before = enter(file(10));
  const NodePtr after = enter(file(10), image());
  EXPECT_NE(before->number, after->number);
  EXPECT_TRUE(nodes_.known(*before).retired);
  EXPECT_EQ(nodes_.add_handle(*before, nullptr), std::nullopt);
  EXPECT_EQ(after->shown_as, ShownAs::Disk);
}

TEST_F(TreeNodes, ButNotWhileHandlesAreOpenOnIt) {
  const NodePtr node = enter(file(10));
  EXPECT_EQ(nodes_.add_handle(*node, nullptr), 0u);
  EXPECT_EQ(enter(file(10), image()), node);
  EXPECT_EQ(nodes_.recall(node->key).pinned, ShownAs::ItIs);
  nodes_.remove_handle(*node);
  EXPECT_NE(enter(file(10), image()), node);
}

TEST_F(TreeNodes, ARenameMovesThePlaceUnlessItHasMovedOn) {
  const NodePtr node = enter(file(10), {}, "a");
  nodes_.moved(at("a"), node->key, at("b"));
  EXPECT_EQ(nodes_.place_of(*node).name, "b");
  nodes_.moved(at("a"), node->key, at("c"));
  EXPECT_EQ(nodes_.place_of(*node).name, "b");
  EXPECT_EQ(nodes_.path_of(*node), "b");
}

}  // namespace
}  // namespace flatimg::flat::tree
