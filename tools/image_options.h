// Options that commands on images have in common, and what they print alike.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "catalog/inspect.h"
#include "catalog/open.h"
#include "tools/commands.h"

namespace flatimg::tools {

/// The image itself, -f, --allow-path and --key-file.
struct ImageChoice {
  std::string path;
  std::string format;
  std::vector<std::string> allowed_directories;
  std::string key_file;
};
void add_image_choice(CLI::App& command, ImageChoice& choice);

/// What opening the image takes, for writing unless the caller says otherwise.
[[nodiscard]] catalog::OpenRequest open_request(const ImageChoice& choice);

/// An image that is looked at: -U besides.
struct ImageOptions : ImageChoice {
  bool force_share = false;

  [[nodiscard]] catalog::InspectRequest request() const;
};
void add_image_options(CLI::App& command, ImageOptions& options);

/// An image whose disk is read: --piece besides.
struct DiskSource : ImageOptions {
  std::vector<std::string> pieces;
};
void add_disk_source(CLI::App& command, DiskSource& source);

/// What opening the image for reading its data takes.
[[nodiscard]] catalog::OpenRequest open_request(const DiskSource& source);

/// --output=human|json.
enum class Output { Human, Json };
void add_output_option(CLI::App& command, Output& output);

/// "10 MiB (10485760 bytes)" and "10 MiB".
[[nodiscard]] std::string size_in_words(ByteCount size);
[[nodiscard]] std::string short_size(ByteCount size);

/// Prints JSON as qemu-img does: indented by four, bytes that are not UTF-8 replaced.
void print_json(const nlohmann::ordered_json& value);

}  // namespace flatimg::tools
