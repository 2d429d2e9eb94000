// Text for people.
#pragma once

#include <string>
#include <string_view>

namespace flatimg {

/// A name from outside as it may be put on a terminal or in a log line: control characters and bytes that are not UTF-8
/// appear as \xNN, a backslash as \\, everything else as it is. Unambiguous.
[[nodiscard]] std::string shown(std::string_view name);

/// The same, cut to about `most` bytes with "..." at the end: for names that are wrong because of their length.
[[nodiscard]] std::string shown_shortened(std::string_view name, std::size_t most);

}  // namespace flatimg
