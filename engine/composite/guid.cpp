#include "composite/guid.h"

#include <charconv>
#include <cstdint>
#include <cstring>
#include <random>

namespace flatimg::composite {

namespace {

constexpr std::size_t kTextLength = 36;
// Where the two digits of each stored byte stand in the text.
constexpr std::array<std::size_t, 16> kDigits{6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34};

bool has_dashes(std::string_view text) {
  for (const std::size_t at : {8u, 13u, 18u, 23u}) {
    if (text[at] != '-') return false;
  }
  return true;
}

}  // namespace

std::optional<Guid> parse_guid(std::string_view text) {
  if (text.size() != kTextLength || !has_dashes(text)) return std::nullopt;
  Guid guid{};
  for (std::size_t n = 0; n < guid.size(); ++n) {
    const char* const digits = text.data() + kDigits[n];
    std::uint8_t value = 0;
    const auto [end, error] = std::from_chars(digits, digits + 2, value, 16);
    if (error != std::errc{} || end != digits + 2) return std::nullopt;
    guid[n] = std::byte{value};
  }
  return guid;
}

Guid random_guid() {
  std::random_device source;
  Guid guid{};
  for (std::size_t n = 0; n < guid.size(); n += sizeof(std::uint32_t)) {
    const std::uint32_t word = source();
    std::memcpy(&guid[n], &word, sizeof word);
  }
  guid[7] = (guid[7] & std::byte{0x0f}) | std::byte{0x40};  // version
  guid[8] = (guid[8] & std::byte{0x3f}) | std::byte{0x80};  // variant
  return guid;
}

}  // namespace flatimg::composite
