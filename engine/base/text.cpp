// Escaping of names. An image chooses the names that it mentions; a terminal must not obey them.
#include "base/text.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>

#include "base/utf8.h"

namespace flatimg {

namespace {

std::uint8_t byte_at(std::string_view text, std::size_t at) { return static_cast<std::uint8_t>(text[at]); }

// How many bytes the UTF-8 sequence at the front claims to have; 0 for a byte that cannot begin one.
std::size_t claimed_length(std::uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 0;
}

struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 0;  // 0: not UTF-8
};

Character first_character(std::string_view text) {
  const std::uint8_t first = byte_at(text, 0);
  const std::size_t bytes = claimed_length(first);
  if (bytes == 0 || bytes > text.size()) return {};
  std::uint32_t code = bytes == 1 ? first : first & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte_at(text, i) & 0xc0) != 0x80) return {};
    code = (code << 6) | (byte_at(text, i) & 0x3fu);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return overlong || surrogate || code > 0x10ffff ? Character{} : Character{code, bytes};
}

// Controls (C0, DEL, C1), line separators, and the marks that reverse the direction of text: they make a name look like
// another one.
bool is_harmful(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character next = first_character(text);
    if (next.bytes == 0) return false;
    text.remove_prefix(next.bytes);
  }
  return true;
}

std::string shown(std::string_view name) {
  std::string result;
  while (!name.empty()) {
    const Character next = first_character(name);
    const std::size_t bytes = next.bytes == 0 ? 1 : next.bytes;
    if (next.bytes == 0 || is_harmful(next.code)) {
      for (std::size_t i = 0; i < bytes; ++i) result += fmt::format("\\x{:02x}", byte_at(name, i));
    } else if (next.code == '\\') {
      result += "\\\\";
    } else {
      result += name.substr(0, bytes);
    }
    name.remove_prefix(bytes);
  }
  return result;
}

std::string shown_shortened(std::string_view name, std::size_t most) {
  if (name.size() <= most) return shown(name);
  return shown(name.substr(0, most)) + "...";
}

}  // namespace flatimg
