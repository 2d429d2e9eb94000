// The tree that a mount shows: which names there are and which inode number each has.
//
// Mountpoint a directory:            Mountpoint a regular file:
//   /                 1  Root          the flat file  1  Flat
//   /NAME             2  Flat
//   /.flatimg         3  Facts         never listed, entering it works
//   /.flatimg/NAME    4  ImageFacts
//     stats.json      5  Stats
//     info.json       6  Info
//
// Invariants:
//   1. The tree never changes while mounted, and the same name has the same number in every mount. No inode needs a
//      lookup count.
//   2. A number that is not in the tree is no node: find() says so before anybody uses it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flatimg::flat {

enum class Shape { Directory, File };
enum class Node : unsigned char { Root = 1, Flat, Facts, ImageFacts, Stats, Info };

class Names {
 public:
  Names(Shape shape, std::string flat_name) : shape_(shape), flat_name_(std::move(flat_name)) {}

  [[nodiscard]] Shape shape() const { return shape_; }
  [[nodiscard]] const std::string& flat_name() const { return flat_name_; }

  /// The node with this inode number, if there is one.
  [[nodiscard]] std::optional<Node> find(std::uint64_t number) const;
  [[nodiscard]] std::uint64_t number_of(Node node) const;

  /// The node of that name in a directory, listed or not.
  [[nodiscard]] std::optional<Node> lookup(Node directory, std::string_view name) const;

  struct Listed {
    std::string name;
    Node node;
  };
  /// What reading a directory shows, beginning with "." and "..".
  [[nodiscard]] std::vector<Listed> list(Node directory) const;

  [[nodiscard]] static bool is_directory(Node node);
  /// Links to a directory as listing shows them: 2 and one for each listed sub-directory.
  [[nodiscard]] unsigned links(Node node) const;

 private:
  [[nodiscard]] std::vector<Listed> entries(Node directory) const;

  Shape shape_;
  std::string flat_name_;
};

}  // namespace flatimg::flat
