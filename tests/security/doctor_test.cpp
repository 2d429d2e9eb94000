// flatimg doctor says what this machine offers, and its exit code whether mounting works.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

nlohmann::json finding(const nlohmann::json& report, const std::string& name) {
  for (const auto& one : report.at("findings")) {
    if (one.at("name") == name) return one;
  }
  return {};
}

TEST(Doctor, SaysThatMountingWorksAndLeavesNothing) {
  if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
  const auto told = flatimg({"doctor"});
  EXPECT_EQ(told.exit_code, 0) << told.output;
  EXPECT_EQ(told.output.rfind("mounting ", 0), 0u) << told.output;
  EXPECT_EQ(contents_of("/proc/self/mountinfo").find("flatimg-doctor"), std::string::npos);
}

TEST(Doctor, HasAReportForPrograms) {
  if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
  const auto report = nlohmann::json::parse(flatimg({"doctor", "--output=json"}).output);
  EXPECT_EQ(report.at("can-mount"), true);
  for (const char* name : {"mounting", "fuse-device", "fusermount3", "allow-other", "landlock", "seccomp",
                           "user-namespaces", "io-uring", "loop-devices"}) {
    const auto one = finding(report, name);
    ASSERT_TRUE(one.is_object()) << name;
    EXPECT_FALSE(one.at("detail").get<std::string>().empty()) << name;
  }
}

TEST(Doctor, SaysWhatToDoWhereMountingDoesNotWork) {
  if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
  const auto namespaces = run({"unshare", "-m", "true"});
  if (namespaces.exit_code != 0) GTEST_SKIP() << "no mount namespace: " << namespaces.output;
  TempDir dir;
  const auto told = run({"unshare", "-m", "bash", "-c",
                         "touch " + (dir / "file") + "; mount --bind " + (dir / "file") +
                             " /dev/fuse && PATH=/nonexistent exec " FLATIMG_PROGRAM " doctor --output=json"});
  EXPECT_EQ(told.exit_code, 1) << told.output;
  const auto report = nlohmann::json::parse(told.output, nullptr, false);
  ASSERT_TRUE(report.is_object()) << told.output;
  EXPECT_EQ(report.at("can-mount"), false);
  EXPECT_NE(finding(report, "fusermount3").at("way-out").get<std::string>().find("fuse3"), std::string::npos);
}

}  // namespace
}  // namespace flatimg::test
