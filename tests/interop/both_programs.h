// flatimg and the QEMU tools side by side in one directory.
#pragma once

#include <gtest/gtest.h>

#include "interop/qemu_img.h"
#include "support/temp_dir.h"

namespace flatimg::test {

class BothPrograms : public ::testing::Test {
 protected:
  void SetUp() override { NEEDS_QEMU_IMG(); }

  using Words = std::vector<std::string>;
  [[nodiscard]] Finished in_directory(Words command) const {
    command.insert(command.begin(), {"env", "-C", directory_.path().string()});
    return run(command);
  }
  [[nodiscard]] Finished flatimg(Words arguments) const {
    arguments.insert(arguments.begin(), FLATIMG_PROGRAM);
    return in_directory(std::move(arguments));
  }
  [[nodiscard]] Finished qemu_img(Words arguments) const {
    arguments.insert(arguments.begin(), "qemu-img");
    return in_directory(std::move(arguments));
  }
  /// A program that must succeed.
  void must(const Words& command) const {
    const Finished finished = in_directory(command);
    ASSERT_EQ(finished.exit_code, 0) << command.front() << " " << command.at(1) << ": " << finished.output;
  }
  /// The same for qemu-img making a LUKS header: on a busy machine it may fail to measure its own speed.
  void must_make_luks(const Words& command) const {
    Finished finished;
    for (int attempt = 0; attempt < 50; ++attempt) {
      finished = in_directory(command);
      if (finished.output.find("Unable to get accurate CPU usage") == std::string::npos) break;
    }
    ASSERT_EQ(finished.exit_code, 0) << finished.output;
  }
  /// Both tell the same of an image.
  void expect_same_info(const std::string& image) const {
    const Finished ours = flatimg({"info", "--output=json", image});
    EXPECT_EQ(json_in(ours.output), json_in(qemu_img({"info", "--output=json", image}).output)) << ours.output;
  }
  void expect_same_map(const std::string& image) const {
    EXPECT_EQ(flatimg({"map", "--output=json", image}).output, qemu_img({"map", "--output=json", image}).output);
  }
  void expect_same_check(const std::string& image) const {
    const Finished ours = flatimg({"check", "--output=json", image});
    const Finished theirs = qemu_img({"check", "--output=json", image});
    EXPECT_EQ(ours.exit_code, theirs.exit_code);
    EXPECT_EQ(json_in(ours.output), json_in(theirs.output));
  }

  TempDir directory_;
};

}  // namespace flatimg::test
