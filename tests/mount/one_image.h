// A test with one new qcow2 image and a directory to mount it on.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "mount/mounted_image.h"

namespace flatimg::test {

class OneImage : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    ::mkdir(mountpoint_.c_str(), 0755);
    const auto made = run({"qemu-img", "create", "-q", "-f", "qcow2", image_, "16M"});
    ASSERT_EQ(made.exit_code, 0) << made.output;
  }

  TempDir dir_;
  std::string image_ = dir_ / "disk.qcow2";
  std::string mountpoint_ = dir_ / "mnt";
};

}  // namespace flatimg::test
