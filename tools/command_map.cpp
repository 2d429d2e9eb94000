// flatimg map: where the bytes of a disk are. JSON is that of `qemu-img map`; for people, a picture (also as
// SVG) and the extents.
#include <map>
#include <memory>

#include "catalog/open.h"
#include "catalog/preallocated.h"
#include "tools/allocation_picture.h"
#include "tools/image_options.h"
#include "view/map_entries.h"

namespace flatimg::tools {

namespace {

using Print = Result<void> (*)(Disk& disk, const std::vector<bool>& look_for_holes);

struct MapOptions {
  DiskSource image;
  std::string output = "human";
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

// --- for people -----------------------------------------------------------------------------------------------------

void print_extent(const MapEntry& entry) {
  fmt::print("{:#014x} {:#014x} {:>5}  {:<12}", entry.where.begin.value(), entry.where.length.value(), entry.depth,
             name_of(kind_of(entry)));
  if (entry.offset) fmt::print(" {:#x}", entry.offset->value());
  fmt::print("\n");
}

Result<AllocationPicture> picture_of(Disk& disk, const std::vector<bool>& look_for_holes) {
  AllocationPicture picture(disk.size());
  CHECK(walk_map(disk, look_for_holes, [&](const MapEntry& entry) { picture.add(entry); }));
  return picture;
}

Result<void> print_picture_and_extents(Disk& disk, const std::vector<bool>& look_for_holes) {
  TRY(const AllocationPicture picture, picture_of(disk, look_for_holes));
  fmt::print("{}\n{:<14} {:<14} {:>5}  {:<12} {}\n", picture.text(), "offset", "length", "depth", "what",
             "in the file at");
  return walk_map(disk, look_for_holes, print_extent);
}

Result<void> print_svg(Disk& disk, const std::vector<bool>& look_for_holes) {
  TRY(const AllocationPicture picture, picture_of(disk, look_for_holes));
  fmt::print("{}", picture.svg());
  return {};
}

// --- the command ----------------------------------------------------------------------------------------------------

const std::map<std::string, Print> kForms{
    {"human", print_picture_and_extents}, {"json", print_json_map}, {"svg", print_svg}};

Result<void> print_map(const MapOptions& options) {
  TRY(const std::vector<bool> look_for_holes, catalog::preallocated_images(options.image.request()));
  catalog::OpenRequest request = open_request(options.image);
  request.content = catalog::OpenRequest::Content::NotNeeded;
  TRY(catalog::Opened opened, catalog::open_image(request));
  Disk disk(std::move(opened.chain), {});
  CHECK(kForms.at(options.output)(disk, look_for_holes));
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
  add_disk_source(*command, options->image);
  command->add_option("--output", options->output, "human, json or svg (a picture)")
      ->check(CLI::IsMember({"human", "json", "svg"}))
      ->type_name("FORM");
  command->callback([&program, options] { program.chosen = [options] { return run_map(*options); }; });
}

}  // namespace flatimg::tools
