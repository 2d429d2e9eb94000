// Shell scripts that have to succeed, or to fail with certain words.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "mount/mounted_image.h"

namespace flatimg::test {

inline void expect_success(const std::string& script) {
  const auto outcome = shell(script);
  EXPECT_EQ(outcome.exit_code, 0) << script << "\n" << outcome.output;
}

inline void expect_failure(const std::string& script, const std::string& words) {
  const auto outcome = shell(script);
  EXPECT_NE(outcome.exit_code, 0) << script;
  EXPECT_NE(outcome.output.find(words), std::string::npos) << script << "\n" << outcome.output;
}

}  // namespace flatimg::test
