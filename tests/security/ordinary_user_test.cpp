// The same mount for a user who is not root: by fusermount3, and with no capability at all. A mount namespace of its
// own has a /dev/fuse that everybody may open, as other machines have it.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

class OrdinaryUser : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    for (const char* program : {"fusermount3", "setpriv", "unshare"}) {
      if (!has_program(program)) GTEST_SKIP() << program << " is not installed";
    }
    ASSERT_EQ(
        shell("cd " + dir_.path().string() + "; mkdir mnt; chmod 755 .; qemu-img create -q -f qcow2 d.qcow2 16M;" +
              "chown -R nobody .; mknod fuse c 10 229; chmod 666 fuse")
            .exit_code,
        0);
    const auto works = as_user("test -x $FLATIMG && test -w /dev/fuse");
    if (works.exit_code != 0) GTEST_SKIP() << "nobody cannot run flatimg here: " << works.output;
  }

  /// Runs a script as nobody, in the directory with d.qcow2 and mnt. `wait_gone` waits until the mount has ended. What
  /// root does in the same mount namespace comes before.
  Finished as_user(const std::string& script, const std::string& as_root = "true") {
    dir_.write("script",
               "set -eu; cd " + dir_.path().string() +
                   "; export FLATIMG='" FLATIMG_PROGRAM
                   "'; unset XDG_RUNTIME_DIR;"
                   "worker() { $FLATIMG status --output=json ${1:-mnt} | sed -n 's/^  \"pid\": \\([0-9]*\\),/\\1/p'; };"
                   "wait_gone() { for i in $(seq 500); do grep -q \" $PWD/mnt \" /proc/self/mountinfo || return 0;"
                   " sleep 0.02; done; echo still mounted; return 1; };" +
                   script);
    return run({"unshare", "-m", "bash", "-c",
                "mount --bind " + (dir_ / "fuse") + " /dev/fuse && " + as_root +
                    " && exec setpriv --reuid=65534 --regid=65534 " + "--clear-groups bash " + (dir_ / "script")});
  }
  void expect_works(const std::string& script) {
    const auto outcome = as_user(script);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    EXPECT_EQ(run({"qemu-img", "check", "-q", dir_ / "d.qcow2"}).exit_code, 0);
  }

  TempDir dir_;
};

TEST_F(OrdinaryUser, MountsReadsWritesAndUnmounts) {
  expect_works(
      "$FLATIMG mount d.qcow2 mnt; echo hello | dd conv=notrunc status=none of=mnt/d.qcow2;"
      "$FLATIMG umount mnt; wait_gone; qemu-io -r -c 'read -v 0 5' d.qcow2 | grep -q hello");
}

TEST_F(OrdinaryUser, IsServedByAProcessWithoutAnyCapability) {
  expect_works(
      "$FLATIMG mount d.qcow2 mnt; grep -q '^CapPrm:.0000000000000000' /proc/$(worker)/status;"
      "grep -q '^NoNewPrivs:.1' /proc/$(worker)/status; grep -q '^Seccomp:.2' /proc/$(worker)/status;"
      "$FLATIMG umount mnt");
}

TEST_F(OrdinaryUser, IsRidOfTheMountWhenTheWorkerDies) {
  expect_works("$FLATIMG mount d.qcow2 mnt; kill -9 $(worker); wait_gone");
}

TEST_F(OrdinaryUser, EndsAMountByASignal) {
  expect_works(
      "$FLATIMG mount d.qcow2 mnt; echo hello | dd conv=notrunc status=none of=mnt/d.qcow2; kill $(worker); wait_gone;"
      "for i in $(seq 200); do flock -n d.qcow2 true && break; sleep 0.02; done;"
      "qemu-io -r -c 'read -v 0 5' d.qcow2 | grep -q hello");
}

TEST_F(OrdinaryUser, MayUseFusermountToUnmount) {
  expect_works("$FLATIMG mount d.qcow2 mnt; fusermount3 -u mnt; wait_gone");
}

TEST_F(OrdinaryUser, MountsADirectoryAndIsConfinedThereAsWell) {
  expect_works(
      "mkdir tree; mv d.qcow2 tree; $FLATIMG mount tree tree; grep -q '^Seccomp:.2' /proc/$(worker tree)/status;"
      "grep -q '^CapPrm:.0000000000000000' /proc/$(worker tree)/status; echo hello | dd conv=notrunc status=none "
      "of=tree/d.qcow2; mkdir tree/sub; echo text > tree/sub/file; chmod 600 tree/sub/file; mv tree/sub/file tree/file;"
      "ln tree/file tree/hard; ln -s file tree/soft; touch -h tree/soft; rm tree/hard; cat "
      "tree/.flatimg/d.qcow2/*.json > "
      "/dev/null; $FLATIMG umount tree; test $(stat -c %a tree/file) = 600; mv tree/d.qcow2 .;"
      "qemu-io -r -c 'read -v 0 5' d.qcow2 | grep -q hello");
}

TEST_F(OrdinaryUser, GivesMountOptionsToTheKernel) {
  expect_works(
      "$FLATIMG mount -o 'ro,noatime,fsname=a\\,b' d.qcow2 mnt; grep \" $PWD/mnt \" /proc/self/mountinfo |"
      "grep -q ' ro,nosuid,nodev,noexec,noatime - fuse.flatimg a,b '; $FLATIMG umount mnt");
}

TEST_F(OrdinaryUser, IsToldWhyAllowOtherIsRefused) {
  if (shell("grep -q ^user_allow_other /etc/fuse.conf").exit_code == 0) GTEST_SKIP() << "it is allowed here";
  const auto refused = as_user("$FLATIMG mount -o allow_other d.qcow2 mnt");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("user_allow_other"), std::string::npos) << refused.output;
  EXPECT_EQ(refused.output.find('\n'), refused.output.size() - 1) << refused.output;
}

TEST_F(OrdinaryUser, IsToldThatOnlyRootMakesLoopDevices) {
  const auto refused = as_user("$FLATIMG attach d.qcow2");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("only root makes loop devices"), std::string::npos) << refused.output;
  EXPECT_EQ(refused.output.find('\n'), refused.output.size() - 1) << refused.output;
}

TEST_F(OrdinaryUser, MountsInAUserNamespaceWithoutFusermount) {
  if (as_user("unshare -Urm true").exit_code != 0) GTEST_SKIP() << "nobody may make a user namespace here";
  expect_works(
      "exec unshare -Urm bash -eu -c '"
      "PATH=$PATH:/sbin; mount -t tmpfs none /run; $FLATIMG mount d.qcow2 mnt;"
      "echo hello | dd conv=notrunc status=none of=mnt/d.qcow2; $FLATIMG status mnt > /dev/null; $FLATIMG umount mnt;"
      "qemu-io -r -c \"read -v 0 5\" d.qcow2 | grep -q hello'");
}

TEST_F(OrdinaryUser, IsToldWhenStatusAndUmountCannotReachTheMount) {
  const auto outcome = as_user("$FLATIMG mount d.qcow2 mnt; fusermount3 -u mnt; wait_gone",
                               "mkdir -p -m 700 /tmp/flatimg-65534 && chown nobody /tmp/flatimg-65534 && mkdir " +
                                   (dir_ / "roots") + " && chown root " + (dir_ / "roots") + " && mount --bind " +
                                   (dir_ / "roots") + " /tmp/flatimg-65534");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_NE(outcome.output.find("status and umount do not reach this mount"), std::string::npos) << outcome.output;
}

TEST_F(OrdinaryUser, WithoutFusermountIsToldWhatToInstall) {
  const auto refused = as_user("PATH=/nonexistent $FLATIMG mount d.qcow2 mnt");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("package fuse3"), std::string::npos) << refused.output;
}

}  // namespace
}  // namespace flatimg::test
