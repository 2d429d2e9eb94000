// Images of formats that are not read here are recognised, and never taken for raw disks unless somebody says so.
#include <gtest/gtest.h>

#include "interop/both_programs.h"

namespace flatimg::test {
namespace {

struct Foreign {
  std::string format;  // qemu-img's word
  std::string name;
};

class ForeignImage : public BothPrograms, public ::testing::WithParamInterface<Foreign> {};

TEST_P(ForeignImage, IsRefusedByName) {
  must({"qemu-img", "create", "-q", "-f", GetParam().format, "foreign.img", "10M"});
  for (const std::vector<std::string>& command : {std::vector<std::string>{"info", "foreign.img"},
                                                  {"info", "--explain", "foreign.img"},
                                                  {"map", "foreign.img"},
                                                  {"convert", "-O", "raw", "foreign.img", "out.raw"},
                                                  {"create", "-f", "qcow2", "-b", "foreign.img", "over.qcow2"}}) {
    const Finished refused = flatimg(command);
    EXPECT_EQ(refused.exit_code, 1) << command.front();
    EXPECT_NE(refused.output.find("is a " + GetParam().name + " image"), std::string::npos)
        << command.front() << ": " << refused.output;
  }
}

TEST_P(ForeignImage, IsShownAsItIsWhenToldToBeRaw) {
  must({"qemu-img", "create", "-q", "-f", GetParam().format, "foreign.img", "10M"});
  must({FLATIMG_PROGRAM, "compare", "-f", "raw", "-F", "raw", "foreign.img", "foreign.img"});
  must({FLATIMG_PROGRAM, "convert", "-f", "raw", "-O", "raw", "foreign.img", "out.raw"});
  must({"cmp", "foreign.img", "out.raw"});
}

INSTANTIATE_TEST_SUITE_P(Formats, ForeignImage,
                         ::testing::Values(Foreign{"vmdk", "VMDK"}, Foreign{"vdi", "VDI"}, Foreign{"vhdx", "VHDX"},
                                           Foreign{"vpc", "VHD"}, Foreign{"qed", "QED"},
                                           Foreign{"parallels", "Parallels"}),
                         [](const auto& tested) { return tested.param.format; });

}  // namespace
}  // namespace flatimg::test
