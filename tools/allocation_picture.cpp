#include "tools/allocation_picture.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/image_options.h"

namespace flatimg::tools {

namespace {

struct Look {
  const char* name;
  char sign;
  const char* colour;
};
constexpr std::array<Look, kKinds> kLooks{{{"nothing", '.', "#e8e8e8"},
                                           {"zeroes", '0', "#b8c4d0"},
                                           {"data behind", 'b', "#e0a030"},
                                           {"compressed", 'c', "#40a070"},
                                           {"data", '#', "#3060b0"}}};

const Look& look_of(Kind kind) { return kLooks[static_cast<std::size_t>(kind)]; }

// Sizes in the unit of SVG, a pixel.
constexpr unsigned kSide = 12;     // of a cell, without the line around it
constexpr unsigned kStep = 13;     // from one cell to the next
constexpr unsigned kMargin = 96;   // for the offsets on the left
constexpr unsigned kHeading = 24;  // above the cells
constexpr unsigned kLegend = 110;  // width of one word of the legend

std::string text_at(unsigned x, unsigned y, const char* anchor, std::string_view text) {
  return fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, text);
}

std::string svg_legend(unsigned y) {
  std::string legend;
  for (unsigned kind = 0; kind < kKinds; ++kind) {
    const unsigned x = kMargin + kind * kLegend;
    legend +=
        fmt::format("<rect class=\"k{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n", kind, x, y, kSide, kSide);
    legend += text_at(x + kStep + 4, y + kSide - 2, "start", kLooks[kind].name);
  }
  return legend;
}

std::string svg_style() {
  std::string style = "<style>text{font:11px monospace;fill:#404040}";
  for (std::size_t kind = 0; kind < kKinds; ++kind) style += fmt::format(".k{}{{fill:{}}}", kind, kLooks[kind].colour);
  return style + "</style>\n";
}

}  // namespace

Kind kind_of(const MapEntry& entry) {
  if (entry.data && entry.depth > 0) return Kind::Below;
  if (entry.compressed) return Kind::Compressed;
  if (entry.data && !entry.zero) return Kind::Data;
  return entry.present ? Kind::Zero : Kind::Nothing;
}

const char* name_of(Kind kind) { return look_of(kind).name; }

AllocationPicture::AllocationPicture(ByteCount size)
    : bytes_per_cell_(std::max<std::uint64_t>(1, (size.value() + kColumns * kRows - 1) / (kColumns * kRows))),
      cells_((size.value() + bytes_per_cell_ - 1) / bytes_per_cell_) {}

void AllocationPicture::add(const MapEntry& entry) {
  GuestRange left = entry.where;
  while (!left.empty()) {
    const std::uint64_t cell = left.begin.value() / bytes_per_cell_;
    const GuestRange now = left.first(GuestOffset((cell + 1) * bytes_per_cell_) - left.begin);
    cells_[cell][static_cast<std::size_t>(kind_of(entry))] += now.length.value();
    left = left.without_first(now.length);
  }
}

Kind AllocationPicture::most_of(const Cell& cell) {
  std::size_t most = 0;
  for (std::size_t kind = 1; kind < cell.size(); ++kind) {
    if (cell[kind] != 0 && (most == 0 || cell[kind] >= cell[most])) most = kind;
  }
  return static_cast<Kind>(most);
}

std::string AllocationPicture::text() const {
  std::string lines;
  for (std::size_t begin = 0; begin < cells_.size(); begin += kColumns) {
    lines += fmt::format("{:>10} ", short_size(ByteCount(begin * bytes_per_cell_)));
    for (std::size_t cell = begin; cell < std::min<std::size_t>(begin + kColumns, cells_.size()); ++cell) {
      lines += look_of(most_of(cells_[cell])).sign;
    }
    lines += '\n';
  }
  lines += fmt::format("each sign is {}:", short_size(ByteCount(bytes_per_cell_)));
  for (std::size_t kind = kKinds; kind-- > 0;) {
    lines += fmt::format(" {} {}{}", kLooks[kind].sign, kLooks[kind].name, kind == 0 ? "\n" : ",");
  }
  return lines;
}

std::string AllocationPicture::svg_cells() const {
  std::string cells;
  for (std::size_t cell = 0; cell < cells_.size(); ++cell) {
    const auto column = static_cast<unsigned>(cell % kColumns);
    const unsigned y = kHeading + static_cast<unsigned>(cell / kColumns) * kStep;
    const std::uint64_t offset = cell * bytes_per_cell_;
    const Kind kind = most_of(cells_[cell]);
    if (column == 0) cells += text_at(kMargin - 8, y + kSide - 2, "end", short_size(ByteCount(offset)));
    cells += fmt::format(
        "<rect class=\"k{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{:#x}: {}</title></rect>\n",
        static_cast<unsigned>(kind), kMargin + column * kStep, y, kSide, kSide, offset, look_of(kind).name);
  }
  return cells;
}

std::string AllocationPicture::svg() const {
  const auto rows = static_cast<unsigned>((cells_.size() + kColumns - 1) / kColumns);
  const unsigned below = kHeading + rows * kStep + 10;
  const unsigned width = kMargin + kColumns * kStep + 10;
  const unsigned height = below + kStep + 10;
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n", width,
             height) +
         svg_style() +
         text_at(kMargin, 16, "start", fmt::format("each cell: {}", short_size(ByteCount(bytes_per_cell_)))) +
         svg_cells() + svg_legend(below) + "</svg>\n";
}

}  // namespace flatimg::tools
