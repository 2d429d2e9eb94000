// What a run has shown, in numbers. Each is kept with the result of its test; where FLATIMG_FIGURES names a file, it gets
// a line for each, "COUNT<TAB>WHAT", which tests/figures sums up.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace flatimg::test {

/// Figures of one name are added up over all tests of a run.
inline void add_figure(std::string_view what, std::uint64_t count) {
  ::testing::Test::RecordProperty(std::string(what), std::to_string(count));
  const char* const path = std::getenv("FLATIMG_FIGURES");
  if (path == nullptr) return;
  const int fd = ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  const std::string line = fmt::format("{}\t{}\n", count, what);
  EXPECT_EQ(::write(fd, line.data(), line.size()), static_cast<ssize_t>(line.size()));  // at once: tests run in parallel
  ::close(fd);
}

}  // namespace flatimg::test
