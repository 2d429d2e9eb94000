// The tree of names.h.
#include "fuse/names.h"

#include <algorithm>

namespace flatimg::flat {

namespace {

constexpr std::string_view kFactsName = ".flatimg";

Node parent_of(Node directory) { return directory == Node::ImageFacts ? Node::Facts : Node::Root; }

}  // namespace

std::optional<Node> Names::find(std::uint64_t number) const {
  if (shape_ == Shape::File) return number == 1 ? std::optional(Node::Flat) : std::nullopt;
  if (number < static_cast<unsigned>(Node::Root) || number > static_cast<unsigned>(Node::Info)) return std::nullopt;
  return static_cast<Node>(number);
}

std::uint64_t Names::number_of(Node node) const { return shape_ == Shape::File ? 1 : static_cast<unsigned>(node); }

std::optional<Node> Names::lookup(Node directory, std::string_view name) const {
  for (const Listed& entry : entries(directory)) {
    if (entry.name == name) return entry.node;
  }
  if (directory == Node::Root && shape_ == Shape::Directory && name == kFactsName) return Node::Facts;
  return std::nullopt;
}

std::vector<Names::Listed> Names::list(Node directory) const {
  std::vector<Listed> listed{{".", directory}, {"..", parent_of(directory)}};
  for (Listed& entry : entries(directory)) listed.push_back(std::move(entry));
  return listed;
}

bool Names::is_directory(Node node) { return node == Node::Root || node == Node::Facts || node == Node::ImageFacts; }

unsigned Names::links(Node node) const {
  if (!is_directory(node)) return 1;
  return 2 + static_cast<unsigned>(
                 std::ranges::count_if(entries(node), [](const Listed& entry) { return is_directory(entry.node); }));
}

std::vector<Names::Listed> Names::entries(Node directory) const {
  if (shape_ == Shape::File) return {};
  switch (directory) {
    case Node::Root:
      return {{flat_name_, Node::Flat}};
    case Node::Facts:
      return {{flat_name_, Node::ImageFacts}};
    case Node::ImageFacts:
      return {{"stats.json", Node::Stats}, {"info.json", Node::Info}};
    default:
      return {};
  }
}

}  // namespace flatimg::flat
