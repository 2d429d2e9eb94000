// Numbers by which a run of random tests is chosen, or repeated.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace flatimg::test {

[[nodiscard]] inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace flatimg::test
