// flatimg map: where the bytes of a disk are. JSON is that of `qemu-img map`; for people, a picture and the extents.
#include <array>
#include <memory>

#include "catalog/open.h"
#include "catalog/preallocated.h"
#include "tools/image_options.h"
#include "tools/map_entries.h"

namespace flatimg::tools {

namespace {

struct MapOptions {
  ImageOptions image;
  Output output = Output::Human;
};

// --- JSON, an entry a line ------------------------------------------------------------------------------------------

class JsonPrinter {
 public:
  void print(const MapEntry& entry) {
    fmt::print("{}{{ \"start\": {}, \"length\": {}, \"depth\": {}, \"present\": {}, \"zero\": {}, \"data\": {}",
               first_ ? "" : ",\n", entry.where.begin.value(), entry.where.length.value(), entry.depth, entry.present,
               entry.zero, entry.data);
    if (entry.offset) fmt::print(", \"offset\": {}", entry.offset->value());
    fmt::print("}}");
    first_ = false;
  }

 private:
  bool first_ = true;
};

Result<void> print_json_map(Disk& disk, const std::vector<bool>& look_for_holes) {
  JsonPrinter printer;
  fmt::print("[");
  if (disk.size().is_zero()) printer.print({});
  CHECK(walk_map(disk, look_for_holes, [&](const MapEntry& entry) { printer.print(entry); }));
  fmt::print("]\n");
  return {};
}

// --- the picture ----------------------------------------------------------------------------------------------------

enum class Kind : unsigned char { Nothing, Zero, Below, Compressed, Data };

Kind kind_of(const MapEntry& entry) {
  if (entry.data && entry.depth > 0) return Kind::Below;
  if (entry.compressed) return Kind::Compressed;
  if (entry.data && !entry.zero) return Kind::Data;
  return entry.present ? Kind::Zero : Kind::Nothing;
}

constexpr std::array<char, 5> kSigns{'.', '0', 'b', 'c', '#'};
constexpr std::array<const char*, 5> kNames{"nothing", "zeroes", "data behind", "compressed", "data"};

// Each cell stands for the same number of bytes and shows what most of them are; anything is more than nothing.
class Picture {
 public:
  explicit Picture(ByteCount size)
      : cell_(std::max<std::uint64_t>(1, (size.value() + kColumns * kRows - 1) / (kColumns * kRows))),
        bytes_((size.value() + cell_ - 1) / cell_) {}

  void add(const MapEntry& entry) {
    GuestRange left = entry.where;
    while (!left.empty()) {
      const std::uint64_t cell = left.begin.value() / cell_;
      const GuestRange now = left.first(GuestOffset((cell + 1) * cell_) - left.begin);
      bytes_[cell][static_cast<std::size_t>(kind_of(entry))] += now.length.value();
      left = left.without_first(now.length);
    }
  }

  void print() const {
    for (std::size_t begin = 0; begin < bytes_.size(); begin += kColumns) {
      std::string row;
      for (std::size_t i = begin; i < std::min<std::size_t>(begin + kColumns, bytes_.size()); ++i)
        row += sign(bytes_[i]);
      fmt::print("{:>10} {}\n", short_size(ByteCount(begin * cell_)), row);
    }
    fmt::print("each sign is {}: # data, c compressed, b data behind, 0 zeroes, . nothing\n\n",
               short_size(ByteCount(cell_)));
  }

 private:
  static constexpr std::uint64_t kColumns = 64;
  static constexpr std::uint64_t kRows = 16;
  using Cell = std::array<std::uint64_t, kSigns.size()>;

  static char sign(const Cell& cell) {
    std::size_t most = 0;
    for (std::size_t kind = 1; kind < cell.size(); ++kind) {
      if (cell[kind] != 0 && (most == 0 || cell[kind] >= cell[most])) most = kind;
    }
    return kSigns[most];
  }

  std::uint64_t cell_;
  std::vector<Cell> bytes_;
};

void print_extent(const MapEntry& entry) {
  fmt::print("{:#014x} {:#014x} {:>5}  {:<12}", entry.where.begin.value(), entry.where.length.value(), entry.depth,
             kNames[static_cast<std::size_t>(kind_of(entry))]);
  if (entry.offset) fmt::print(" {:#x}", entry.offset->value());
  fmt::print("\n");
}

Result<void> print_picture_and_extents(Disk& disk, const std::vector<bool>& look_for_holes) {
  Picture picture(disk.size());
  CHECK(walk_map(disk, look_for_holes, [&](const MapEntry& entry) { picture.add(entry); }));
  picture.print();
  fmt::print("{:<14} {:<14} {:>5}  {:<12} {}\n", "offset", "length", "depth", "what", "in the file at");
  return walk_map(disk, look_for_holes, print_extent);
}

// --- the command ----------------------------------------------------------------------------------------------------

Result<void> print_map(const MapOptions& options) {
  TRY(const std::vector<bool> look_for_holes, catalog::preallocated_images(options.image.request()));
  catalog::OpenRequest request = open_request(options.image);
  request.content = catalog::OpenRequest::Content::NotNeeded;
  TRY(catalog::Opened opened, catalog::open_image(request));
  Disk disk(std::move(opened.chain), {});
  CHECK(options.output == Output::Json ? print_json_map(disk, look_for_holes)
                                       : print_picture_and_extents(disk, look_for_holes));
  return disk.close();
}

int run_map(const MapOptions& options) {
  const auto printed = print_map(options);
  return printed ? 0 : complain(printed.error());
}

}  // namespace

void add_map_command(Program& program) {
  const auto options = std::make_shared<MapOptions>();
  CLI::App* command = program.app.add_subcommand("map", "Show where the bytes of a disk are");
  add_image_options(*command, options->image);
  add_output_option(*command, options->output);
  command->callback([&program, options] { program.chosen = [options] { return run_map(*options); }; });
}

}  // namespace flatimg::tools
