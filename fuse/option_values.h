// The values that options take, as functions from text. Every error is BadUsage and says what was expected.
#pragma once

#include <array>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace flatimg::flat {

/// The whole text as a number in the given base, at most `most`.
template <class T>
Result<T> parse_number(std::string_view text, int base = 10, T most = std::numeric_limits<T>::max()) {
  T number{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || code != std::errc() || end != text.data() + text.size() || number > most) {
    return fail(ErrorKind::BadUsage, "'{}' is not a number up to {}", text, most);
  }
  return number;
}

template <class T, std::size_t N>
using Words = std::array<std::pair<std::string_view, T>, N>;

/// The meaning of one of a few words.
template <class T, std::size_t N>
Result<T> parse_word(std::string_view text, const Words<T, N>& words) {
  std::string expected;
  for (const auto& [word, meaning] : words) {
    if (word == text) return meaning;
    expected += fmt::format("{}{}", expected.empty() ? "" : ", ", word);
  }
  return fail(ErrorKind::BadUsage, "'{}' is none of: {}", text, expected);
}

}  // namespace flatimg::flat
