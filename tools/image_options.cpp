#include "tools/image_options.h"

#include <array>
#include <cstdio>
#include <map>

#include "catalog/unpack_directory.h"

namespace flatimg::tools {

catalog::InspectRequest ImageOptions::request() const {
  catalog::InspectRequest request;
  request.path = path;
  if (!format.empty()) request.format = format;
  request.allowed_directories = allowed_directories;
  request.locks = force_share ? catalog::Locks::Ignore : catalog::Locks::Take;
  return request;
}

catalog::OpenRequest open_request(const ImageChoice& choice) {
  catalog::OpenRequest request;
  request.path = choice.path;
  if (!choice.format.empty()) request.format = choice.format;
  request.allowed_directories = choice.allowed_directories;
  request.unpacked_files =
      std::make_shared<catalog::UnpackDirectory>("", request.unpack_size, catalog::UnpackDirectory::AfterUse::Forget);
  return request;
}

catalog::OpenRequest open_request(const DiskSource& source) {
  catalog::OpenRequest request = open_request(static_cast<const ImageChoice&>(source));
  request.access = Access::ReadOnly;
  request.locks = !source.force_share;
  request.pieces = source.pieces;
  return request;
}

void add_image_choice(CLI::App& command, ImageChoice& choice) {
  command.add_option("-f,--format", choice.format, "Format of the image; found by its first bytes otherwise");
  command.add_option("--allow-path", choice.allowed_directories, "Directory whose files the image may name")
      ->type_name("DIR")
      ->delimiter(':')
      ->allow_extra_args(false);
  command.add_option("--key-file", choice.key_file, "Passphrase or key of an encrypted image")->type_name("FILE");
  command.add_option("IMAGE", choice.path, "The image")->required();
}

void add_image_options(CLI::App& command, ImageOptions& options) {
  add_image_choice(command, options);
  command.add_flag("-U,--force-share", options.force_share, "Read without locks, even while somebody writes");
}

void add_disk_source(CLI::App& command, DiskSource& source) {
  add_image_options(command, source);
  command.add_option("--piece", source.pieces, "Further piece of a split Android sparse image; in order")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

void add_output_option(CLI::App& command, Output& output) {
  const std::map<std::string, Output> words{{"human", Output::Human}, {"json", Output::Json}};
  command.add_option("--output", output, "human or json")->transform(CLI::Transformer(words))->type_name("FORM");
}

std::string short_size(ByteCount size) {
  constexpr std::array<const char*, 7> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(size.value());
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {  // three digits are enough to read
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.3g} {}", value, kUnits[unit]);
}

std::string size_in_words(ByteCount size) { return fmt::format("{} ({} bytes)", short_size(size), size.value()); }

void print_json(const nlohmann::ordered_json& value) {
  fmt::print("{}\n", value.dump(4, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace flatimg::tools
