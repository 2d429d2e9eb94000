// Names of GPT partitions.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace flatimg::partitions {

/// UTF-16 (little-endian, up to the first zero) as UTF-8; halves of pairs become U+FFFD.
[[nodiscard]] std::string label_from_utf16(std::span<const std::byte> bytes);

/// Whether it can be a part of a file name that surprises nobody: letters, digits and . _ + - of ASCII, and at least
/// one.
[[nodiscard]] bool is_plain(const std::string& label);

}  // namespace flatimg::partitions
