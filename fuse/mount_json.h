// JSON that mounts of both kinds tell of themselves.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "fuse/confine.h"
#include "fuse/request_counters.h"
#include "image/report.h"
#include "partitions/table.h"

namespace flatimg::flat {

/// With a line end; bytes that are not UTF-8 are replaced.
[[nodiscard]] std::string as_text(const nlohmann::ordered_json& json);

[[nodiscard]] nlohmann::ordered_json counters_json(const Counters& counters);

/// "writable" and "corrupt", and why it is. `writable`: it was opened for writing.
[[nodiscard]] nlohmann::ordered_json writing_json(bool writable, const std::optional<std::string>& corruption);

/// What an image says of itself, with qemu-img's field names.
[[nodiscard]] nlohmann::ordered_json image_json(const ImageInfo& info);

/// The partition table: "scheme" ("mbr", "gpt" or "none"), and the partitions with positions in bytes.
[[nodiscard]] nlohmann::ordered_json partitions_json(const partitions::Table& table);

/// "off", or which parts of it are in force.
[[nodiscard]] nlohmann::ordered_json sandbox_json(const Confinement& confinement);

/// Bytes, errors, how often what was asked, and how long that took, as fields.
[[nodiscard]] nlohmann::ordered_json requests_json(const RequestCounters& counters);

}  // namespace flatimg::flat
