// A picture of where the bytes of a disk are: a grid of cells, each for the same number of bytes, as text or as SVG.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "view/map_entries.h"

namespace flatimg::tools {

/// What bytes of a disk can be, for people.
enum class Kind : unsigned char { Nothing, Zero, Below, Compressed, Data };
inline constexpr std::size_t kKinds = 5;

[[nodiscard]] Kind kind_of(const MapEntry& entry);
[[nodiscard]] const char* name_of(Kind kind);

/// A cell shows what most of its bytes are; anything is more than nothing.
class AllocationPicture {
 public:
  explicit AllocationPicture(ByteCount size);
  void add(const MapEntry& entry);

  /// Lines with the offset in front, and what the signs mean.
  [[nodiscard]] std::string text() const;
  /// A document of its own, which tells offset and kind of each cell under the mouse.
  [[nodiscard]] std::string svg() const;

 private:
  static constexpr std::uint64_t kColumns = 64;
  static constexpr std::uint64_t kRows = 16;
  using Cell = std::array<std::uint64_t, kKinds>;  // bytes of each kind

  static Kind most_of(const Cell& cell);
  [[nodiscard]] std::string svg_cells() const;

  std::uint64_t bytes_per_cell_;
  std::vector<Cell> cells_;
};

}  // namespace flatimg::tools
