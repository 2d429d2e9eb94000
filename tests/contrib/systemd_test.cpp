// The unit template and the lines for fstab as systemd reads them, and what a service manager hears from a mount.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kTemplate = FLATIMG_SOURCES "/contrib/systemd/flatimg@.service";
constexpr std::string_view kGenerator = "/usr/lib/systemd/system-generators/systemd-fstab-generator";

class Units : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_program("systemd-analyze")) GTEST_SKIP() << "systemd-analyze is not installed";
  }
  Finished in_directory(const std::string& script) { return shell("cd " + dir_.path().string() + "; " + script); }

  TempDir dir_;
};

TEST_F(Units, TheTemplateIsAcceptedWithoutAWord) {
  const auto verify = [&](const std::string& edit) {
    return in_directory("sed -e \"s|=flatimg |=$FLATIMG |\" -e '" + edit + "' '" + std::string(kTemplate) +
                        "' > flatimg@x.service; systemd-analyze verify --man=no ./flatimg@x.service");
  };
  const auto good = verify("");
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_EQ(good.output, "");
  EXPECT_THAT(verify("s/^KillMode/KillMood/").output, HasSubstr("KillMood"));
}

// The page has the lines in literal blocks.
TEST_F(Units, LinesForFstabOfTheManPageBecomeMountUnits) {
  if (run({"test", "-x", std::string(kGenerator)}).exit_code != 0) GTEST_SKIP() << "no systemd-fstab-generator";
  const auto made =
      in_directory("sed -n '/^```/,/^```/p' " FLATIMG_SOURCES
                   "/contrib/man/mount.flatimg.8.scd | grep -v '```' | sed '2s|/mnt/vm|/mnt/later|' > fstab;"
                   "mkdir normal early late; SYSTEMD_FSTAB=$PWD/fstab " +
                   std::string(kGenerator) +
                   " $PWD/normal $PWD/early $PWD/late; cd normal; systemd-analyze verify --man=no ./*.mount "
                   "./*.automount; ls; cat mnt-vm.mount");
  EXPECT_EQ(made.exit_code, 0);
  EXPECT_THAT(made.output, ::testing::StartsWith("local-fs.target"));  // and no complaint before
  for (const char* expected : {"mnt-later.automount\n", "mnt-root.mount\n", "What=/img/vm.qcow2\n", "Where=/mnt/vm\n",
                               "Type=flatimg\n", "RequiresMountsFor=/img\n"}) {
    EXPECT_THAT(made.output, HasSubstr(expected));
  }
}

// What ExecStart= does, with a socket where the service manager's would be.
TEST(Service, SaysReadyWhenTheMountAnswersAndStoppingWhenItEnds) {
  if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
  if (!has_program("python3")) GTEST_SKIP() << "python3 is not installed";
  const TempDir dir;
  dir.write("manager.py",
            "import os, signal, socket, subprocess, sys\n"
            "manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "manager.bind('notify')\n"
            "manager.settimeout(60)\n"
            "os.environ['NOTIFY_SOCKET'] = os.path.abspath('notify')\n"
            "mount = subprocess.Popen(sys.argv[1:])\n"
            "print(manager.recv(100).decode(), os.stat('m/d.qcow2').st_size)\n"
            "mount.send_signal(signal.SIGTERM)\n"
            "print(manager.recv(100).decode(), mount.wait(60), os.path.exists('m/d.qcow2'))\n");
  const auto told =
      shell("cd " + dir.path().string() +
            "; mkdir m; qemu-img create -q -f qcow2 d.qcow2 8M;"
            "words=$(sed -n 's/^ExecStart=flatimg //p' '" +
            std::string(kTemplate) +
            "');"
            "SOURCE=d.qcow2 MOUNTPOINT=m OPTIONS=rw; timeout 100 python3 manager.py $FLATIMG $(eval echo $words)");
  EXPECT_EQ(told.output, "READY=1 8388608\nSTOPPING=1 0 False\n");
}

}  // namespace
}  // namespace flatimg::test
