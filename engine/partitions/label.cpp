#include "partitions/label.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/endian.h"

namespace flatimg::partitions {

namespace {

constexpr std::uint32_t kReplacement = 0xfffd;

bool is_high_half(std::uint32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool is_low_half(std::uint32_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

void append(std::string& text, std::uint32_t code) {
  const auto tail = [&](unsigned shift) { text += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6), tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12), tail(6), tail(0);
  } else {
    text += static_cast<char>(0xf0 | code >> 18), tail(12), tail(6), tail(0);
  }
}

}  // namespace

std::string label_from_utf16(std::span<const std::byte> bytes) {
  std::string text;
  for (std::size_t at = 0; at + 2 <= bytes.size(); at += 2) {
    const std::uint32_t unit = load_le<std::uint16_t>(bytes, at);
    if (unit == 0) break;
    const std::uint32_t next = at + 4 <= bytes.size() ? load_le<std::uint16_t>(bytes, at + 2) : 0;
    if (is_high_half(unit) && is_low_half(next)) {
      append(text, 0x10000 + ((unit - 0xd800) << 10) + (next - 0xdc00));
      at += 2;
    } else {
      append(text, is_high_half(unit) || is_low_half(unit) ? kReplacement : unit);
    }
  }
  return text;
}

bool is_plain(const std::string& label) {
  const auto plain = [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || std::string_view("._+-").find(c) != std::string_view::npos;
  };
  return !label.empty() && std::ranges::all_of(label, plain);
}

}  // namespace flatimg::partitions
