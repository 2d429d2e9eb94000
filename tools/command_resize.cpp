// flatimg resize: another size of the virtual disk, of an image that nobody has open.
#include <memory>

#include "base/checked.h"
#include "base/text.h"
#include "fuse/options.h"
#include "tools/image_change.h"
#include "tools/image_options.h"

namespace flatimg::tools {

namespace {

struct ResizeArguments {
  ChangeOptions image;
  std::string size;
  bool shrink = false;
};

/// SIZE, +SIZE or -SIZE. The disk rounds it up where its format has whole sectors only.
Result<ByteCount> new_size(const std::string& text, ByteCount now) {
  const bool relative = text.starts_with('+') || text.starts_with('-');
  TRY(const ByteCount given, flat::parse_size(relative ? std::string_view(text).substr(1) : text));
  std::optional<std::uint64_t> size = given.value();
  if (text.starts_with('+')) size = checked_add(now.value(), given.value());
  if (text.starts_with('-')) {
    if (given > now) {
      return fail(ErrorKind::BadUsage, "{}: the disk has {} only", shown(text), size_in_words(now));
    }
    size = (now - given).value();
  }
  if (!size || *size > std::uint64_t{1} << 63) return fail(ErrorKind::Limit, "{}: too large for a disk", shown(text));
  return ByteCount(*size);
}

Result<void> resize_disk(Disk& disk, const ResizeArguments& arguments) {
  TRY(const ByteCount size, new_size(arguments.size, disk.size()));
  if (size < disk.size() && !arguments.shrink) {
    return fail(ErrorKind::Denied,
                "{}: shrinking the disk from {} to {} cuts off what lies behind: add --shrink when that is wanted",
                shown(arguments.image.path), size_in_words(disk.size()), size_in_words(size));
  }
  return size == disk.size() ? Result<void>() : disk.resize(size);
}

int run_resize(const ResizeArguments& arguments) {
  const auto resized = change_image(arguments.image, [&](Disk& disk) { return resize_disk(disk, arguments); });
  if (!resized) return complain(resized.error());
  if (!arguments.image.quiet) fmt::print("Image resized.\n");
  return 0;
}

}  // namespace

void add_resize_command(Program& program) {
  const auto arguments = std::make_shared<ResizeArguments>();
  CLI::App* command = program.app.add_subcommand("resize", "Make the disk of an image larger or smaller");
  command->footer("SIZE takes the suffixes K M G T P. +SIZE and -SIZE change what there is.");
  add_change_options(*command, arguments->image);
  command->add_flag("--shrink", arguments->shrink, "The end of the disk may be cut off");
  command->add_option("SIZE", arguments->size, "The new size, or [+-]SIZE for the difference")->required();
  command->callback([&program, arguments] { program.chosen = [arguments] { return run_resize(*arguments); }; });
}

}  // namespace flatimg::tools
