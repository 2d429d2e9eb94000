// GUIDs as a GPT stores them: the first three groups little-endian, the last two as they are written.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace flatimg::composite {

using Guid = std::array<std::byte, 16>;

/// "0FC63DAF-8483-4772-8E79-3D69D8477DE4", in letters of either case; nullopt for anything else.
[[nodiscard]] std::optional<Guid> parse_guid(std::string_view text);

/// A random one (version 4). Any thread.
[[nodiscard]] Guid random_guid();

}  // namespace flatimg::composite
