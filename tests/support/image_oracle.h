// The oracle of all tests that leave a qcow2 image behind: no errors, and no leaks unless they are allowed.
#pragma once

#include <gtest/gtest.h>

#include "qcow2/check.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::test {

enum class Leaks {
  AreErrors,
  MayBe,  // behind a crash or a failure
};

/// Counters, COPIED flags and every table, as check sees them.
inline void expect_no_errors(HostFile& file, Leaks leaks) {
  const auto header = qcow2::read_header(file);
  ASSERT_TRUE(header.has_value()) << header.error().text;
  const auto report = qcow2::check(file, *header);
  ASSERT_TRUE(report.has_value()) << report.error().text;
  EXPECT_EQ(report->check_errors, 0u);
  EXPECT_EQ(report->corruptions, 0u);
  EXPECT_TRUE(leaks == Leaks::MayBe || report->leaks == 0) << report->leaks << " leaks";
  if (report->corruptions == 0 && (leaks == Leaks::MayBe || report->leaks == 0)) return;
  for (const std::string& sentence : report->sentences) ADD_FAILURE() << sentence;
}

}  // namespace flatimg::test
