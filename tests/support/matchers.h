// Saying what is expected of a Result in one line.
#pragma once

#include <gmock/gmock.h>

#include <cstddef>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flatimg {

inline void PrintTo(const Error& error, std::ostream* out) {
  *out << "Error{kind " << static_cast<int>(error.kind) << ", errno " << error.os_error << ", " << error.text << "}";
}

}  // namespace flatimg

namespace flatimg::test {

/// EXPECT_THAT(file->barrier(), Succeeds())
MATCHER(Succeeds, negation ? "is an error" : "is a success") {
  if (arg.has_value()) return true;
  *result_listener << "whose error is: " << arg.error().text;
  return false;
}

/// EXPECT_THAT(result, FailsWith(ErrorKind::Denied, "read-only"))
MATCHER_P2(FailsWith, kind, part, "is an error of that kind that mentions \"" + std::string(part) + "\"") {
  if (arg.has_value()) {
    *result_listener << "which is a success";
    return false;
  }
  *result_listener << "whose error is of kind " << static_cast<int>(arg.error().kind) << ": " << arg.error().text;
  return arg.error().kind == kind && arg.error().text.find(part) != std::string::npos;
}

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Bytes that look random and are the same in every run.
inline std::vector<std::byte> noise(std::size_t count, std::uint64_t seed) {
  std::vector<std::byte> result(count);
  for (auto& byte : result) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(seed >> 56);
  }
  return result;
}

}  // namespace flatimg::test
