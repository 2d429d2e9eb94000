// qemu-img as the second opinion.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/process.h"

namespace flatimg::test {

/// The program and its arguments, run in a directory: qemu-img looks for data files from where it stands.
inline Finished qemu_img(const std::string& directory, const std::vector<std::string>& arguments) {
  std::vector<std::string> command{"env", "-C", directory, "qemu-img"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command);
}

/// The JSON object in what a program printed; messages may stand in front of it.
inline nlohmann::json json_in(const std::string& output) {
  const std::size_t begin = output.find("\n{") == std::string::npos ? output.find('{') : output.find("\n{") + 1;
  return begin == std::string::npos ? nlohmann::json() : nlohmann::json::parse(output.substr(begin), nullptr, false);
}

}  // namespace flatimg::test

/// Ends a test where there is no second opinion.
#define NEEDS_QEMU_IMG() \
  if (!::flatimg::test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed"
