// A mount that somebody else has made and handed over as /dev/fd/N: it is served, what is written is in the image, and
// only he who mounted unmounts.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include "mount/one_image.h"
#include "support/soon.h"

namespace flatimg::test {
namespace {

class HandedConnection : public OneImage {
 protected:
  void SetUp() override {
    OneImage::SetUp();
    if (::geteuid() != 0) GTEST_SKIP() << "mounting for somebody else takes root";
  }
  void TearDown() override { (void)::umount2(mountpoint_.c_str(), MNT_DETACH); }

  // As a manager of containers does it; the descriptor is closed here once flatimg has it.
  Finished mount_and_hand_over() {
    const int connection = ::open("/dev/fuse", O_RDWR);  // not O_CLOEXEC: the program gets it
    const auto options = fmt::format("fd={},rootmode=40000,user_id=0,group_id=0", connection);
    EXPECT_EQ(::mount("disk", mountpoint_.c_str(), "fuse.flatimg", MS_NOSUID | MS_NODEV, options.c_str()), 0);
    auto outcome = flatimg({"mount", image_, fmt::format("/dev/fd/{}", connection)});
    ::close(connection);
    return outcome;
  }
  void write_to_disk(const std::string& word) const {
    const auto written =
        shell("printf " + word + " | dd of=" + mountpoint_ + "/disk.qcow2 bs=4k seek=3 conv=notrunc status=none");
    EXPECT_EQ(written.exit_code, 0) << written.output;
  }
  // Locked while it is served, so that QEMU's reading without force also shows that it is over.
  void expect_in_image(const std::string& word) const {
    const auto read = soon([&] {
      return shell("qemu-img convert -O raw " + image_ + " " + (dir_ / "raw") + " && qemu-img check -q " + image_)
                 .exit_code == 0;
    });
    EXPECT_TRUE(read);
    EXPECT_EQ(contents_of(dir_ / "raw").substr(3 * 4096, word.size()), word);
  }
};

TEST_F(HandedConnection, IsServedUntilItsOwnerUnmounts) {
  const auto outcome = mount_and_hand_over();
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_EQ(shell("ls -A " + mountpoint_).output, "disk.qcow2\n");
  write_to_disk("something");
  EXPECT_EQ(::umount(mountpoint_.c_str()), 0);
  expect_in_image("something");
}

TEST_F(HandedConnection, IsLeftByASignalWithEverythingInTheImage) {
  const auto outcome = mount_and_hand_over();
  ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
  write_to_disk("unsynced");
  EXPECT_EQ(shell("pkill -TERM -f -o 'mount " + image_ + "'").exit_code, 0);
  expect_in_image("unsynced");
}

TEST_F(HandedConnection, IsNothingElseThanAConnection) {
  for (const char* mountpoint : {"/dev/fd/77", "/dev/fd/1"}) {
    const auto outcome = flatimg({"mount", image_, mountpoint});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.output.find("no open connection of a FUSE mount"), std::string::npos) << outcome.output;
  }
}

}  // namespace
}  // namespace flatimg::test
