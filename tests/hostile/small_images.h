// Small sound images of a format that say as much as possible: what random changes and fuzzers begin with.
#pragma once

#include <string>
#include <vector>

namespace flatimg::test {

/// Their bytes. Those that qemu-img makes are left out where it is not installed.
[[nodiscard]] std::vector<std::string> small_images(const std::string& format);

}  // namespace flatimg::test
