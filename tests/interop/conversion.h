// What tests of `flatimg convert` have in common.
#pragma once

#include <sys/stat.h>

#include "interop/both_programs.h"

namespace flatimg::test {

class Conversion : public BothPrograms {
 protected:
  /// Succeeds, and says nothing.
  void convert(Words arguments) const {
    arguments.insert(arguments.begin(), "convert");
    const Finished finished = flatimg(std::move(arguments));
    EXPECT_EQ(finished.exit_code, 0) << finished.output;
    EXPECT_EQ(finished.output, "");
  }
  /// Fails with one line.
  void expect_refused(const Words& arguments, const std::string& why) const {
    const Finished refused = flatimg(arguments);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.output.find(why), std::string::npos) << refused.output;
    EXPECT_EQ(refused.output.find('\n'), refused.output.size() - 1) << refused.output;
  }
  [[nodiscard]] off_t length_of(const std::string& name) const {
    struct stat found {};
    EXPECT_EQ(::stat((directory_ / name).c_str(), &found), 0);
    return found.st_size;
  }
};

}  // namespace flatimg::test
