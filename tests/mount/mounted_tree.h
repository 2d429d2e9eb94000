// A directory of images, and its mount. What is underneath is reached through `source`; over itself, only what was
// opened before is.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "mount/mounted_image.h"
#include "mount/scripts.h"

namespace flatimg::test {

class MountedTree : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    std::filesystem::create_directories(source_ + "/deep");
    std::filesystem::create_directory(flat_);
  }

  /// A qcow2 of this size beneath the source whose first MiB is `pattern`.
  std::string make_image(const std::string& name, const std::string& pattern = "1", const std::string& size = "16M") {
    const std::string path = source_ + "/" + name;
    const auto made = shell("qemu-img create -q -f qcow2 " + path + " " + size + " && qemu-io -c 'write -q -P " +
                            pattern + " 0 1M' " + path);
    EXPECT_EQ(made.exit_code, 0) << made.output;
    return path;
  }
  /// Closing an image follows some moments behind the close() of its last user.
  void wait_until_closed() const {
    expect_success("for n in $(seq 200); do $FLATIMG status --output=json " + flat_ +
                   " | grep -q '\"open-images\": {}' && exit 0; sleep 0.05; done; exit 1");
  }

  TempDir dir_;
  std::string source_ = dir_ / "source";
  std::string flat_ = dir_ / "flat";
};

}  // namespace flatimg::test
