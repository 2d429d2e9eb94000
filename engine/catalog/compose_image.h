// Makes a composite disk of images of any format.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "composite/guid.h"
#include "host/posix_file.h"

namespace flatimg::catalog {

/// One part, as the user names it.
struct PartRequest {
  std::string label;
  std::string path;
  Access access = Access::ReadOnly;
  std::optional<composite::Guid> guid;
};

struct ComposeRequest {
  enum class Partitioning { None, Gpt };
  std::string path;
  Partitioning partitioning = Partitioning::None;
  std::vector<PartRequest> parts;
  std::vector<std::string> allowed_directories;  // what the parts' images may name
};

/// "LABEL:PATH[:writable][:GUID]". A path may contain colons. BadUsage for anything else.
Result<PartRequest> parse_part(const std::string& text);

/// Makes the disk `path`, with a partition table also `path`.header, .footer and .filler. None of them may exist,
/// unless it is empty. On an error none of them exists (or it is empty again); all are on stable storage on return.
/// Parts are only asked for their sizes. Returns notes for people.
Result<std::vector<std::string>> compose_image(const ComposeRequest& request);

}  // namespace flatimg::catalog
