// Images of formats that are not read here: their bytes are shown as they are, somebody is told, and nothing writes
// them.
#include <gtest/gtest.h>

#include <filesystem>

#include "interop/both_programs.h"

namespace flatimg::test {
namespace {

struct Foreign {
  std::string format;  // qemu-img's word
  std::string name;
};

class ForeignImage : public BothPrograms, public ::testing::WithParamInterface<Foreign> {
 protected:
  void SetUp() override {
    BothPrograms::SetUp();
    must({"qemu-img", "create", "-q", "-f", GetParam().format, "foreign.img", "10M"});
    must({"cp", "foreign.img", "before.img"});
  }
  void expect_told(const Words& command, int exit_code) const {
    const Finished finished = flatimg(command);
    EXPECT_EQ(finished.exit_code, exit_code) << command.front();
    EXPECT_NE(finished.output.find(GetParam().name + " image"), std::string::npos)
        << command.front() << ": " << finished.output;
    must({"cmp", "foreign.img", "before.img"});
  }
};

TEST_P(ForeignImage, IsReadAsTheFileThatItIsAndPeopleAreTold) {
  expect_told({"info", "--explain", "foreign.img"}, 0);
  expect_told({"convert", "-O", "raw", "foreign.img", "out.raw"}, 0);
  must({"cmp", "-n", std::to_string(std::filesystem::file_size(directory_ / "foreign.img")), "foreign.img", "out.raw"});
  must({FLATIMG_PROGRAM, "compare", "foreign.img", "before.img"});
}

TEST_P(ForeignImage, IsNotWritten) { expect_told({"resize", "foreign.img", "+1G"}, 1); }

TEST_P(ForeignImage, IsWrittenWhenToldToBeRaw) { must({FLATIMG_PROGRAM, "resize", "-f", "raw", "foreign.img", "+1M"}); }

INSTANTIATE_TEST_SUITE_P(Formats, ForeignImage,
                         ::testing::Values(Foreign{"vmdk", "VMDK"}, Foreign{"vdi", "VDI"}, Foreign{"vhdx", "VHDX"},
                                           Foreign{"vpc", "VHD"}, Foreign{"qed", "QED"},
                                           Foreign{"parallels", "Parallels"}),
                         [](const auto& tested) { return tested.param.format; });

}  // namespace
}  // namespace flatimg::test
