// What `cmake --install` and cpack put where, tried on the build tree as it is: nothing is built anew.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Packaging : public ::testing::Test {
 protected:
  /// Runs a script in an empty directory; $BUILD is the build tree, $SOURCES the checkout.
  Finished in_directory(const std::string& script) {
    return shell("export BUILD='" FLATIMG_BUILD_TREE "' SOURCES='" FLATIMG_SOURCES "'; cd " + dir_.path().string() +
                 "; " + script);
  }

  TempDir dir_;
};

TEST_F(Packaging, TheEngineIsALibraryThatPkgConfigFindsInAnInstalledTree) {
  for (const char* program : {"pkg-config", "c++", "qemu-img"}) {
    if (!has_program(program)) GTEST_SKIP() << program << " is not installed";
  }
  const auto outcome = in_directory(
      "cmake --install $BUILD --prefix $PWD/usr --component development > log;"
      "mv usr moved;"  // an installed tree need not stay where it is
      "export PKG_CONFIG_PATH=$(dirname $(find moved -name flatimg-engine.pc));"
      "test \"$(pkg-config --modversion flatimg-engine)\" = " FLATIMG_VERSION
      ";"
      "c++ -std=c++20 " FLATIMG_TEST_FLAGS
      " $SOURCES/contrib/examples/first_sector.cpp"
      " $(pkg-config --cflags --libs flatimg-engine) -o first_sector;"
      "qemu-img create -q -f qcow2 d.qcow2 1M; qemu-io -c 'write -P 0x41 0 512' d.qcow2 > log;"
      "./first_sector d.qcow2 | tr -d A | wc -c; ./first_sector d.qcow2 | wc -c; ! ./first_sector none.qcow2");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("0\n512\nnone.qcow2"));
}

// One test for both packages, as making them is what takes time.
TEST_F(Packaging, LintianAcceptsPackagesThatNeedWhatTheProgramIsLinkedWith) {
  for (const char* program : {"dpkg-deb", "dpkg-shlibdeps", "file", "lintian"}) {
    if (!has_program(program)) GTEST_SKIP() << program << " is not installed";
  }
  const auto made = in_directory(
      "cpack --config $BUILD/CPackConfig.cmake -G DEB -B packages > log || { cat log; false; };"
      "mv packages/*.deb .; rm -r packages");
  ASSERT_EQ(made.exit_code, 0) << made.output;

  const auto control = in_directory("dpkg-deb -I flatimg_*.deb").output;
  EXPECT_THAT(control, AllOf(HasSubstr("Package: flatimg\n"), HasSubstr("Version: " FLATIMG_VERSION "\n"),
                             HasSubstr("Section: utils\n"), HasSubstr("Maintainer: ")));
  EXPECT_THAT(control,
              AllOf(HasSubstr("fuse3"), HasSubstr("libfuse3-3 ("), HasSubstr("libgcrypt20 ("), HasSubstr("libc6 (")));

  const auto files = in_directory("dpkg-deb -c flatimg_*.deb").output;
  EXPECT_THAT(files, AllOf(HasSubstr("-rwxr-xr-x root/root"), HasSubstr("./usr/bin/flatimg\n"),
                           HasSubstr("./usr/sbin/mount.flatimg -> ../bin/flatimg\n"),
                           HasSubstr("./usr/sbin/umount.flatimg -> ../bin/flatimg\n"),
                           HasSubstr("./usr/sbin/umount.fuse.flatimg -> ../bin/flatimg\n"),
                           HasSubstr("./usr/share/doc/flatimg/changelog.gz\n"),
                           HasSubstr("./usr/share/doc/flatimg/copyright\n"),
                           HasSubstr("./usr/share/doc/flatimg/examples/fstab.md\n"), Not(HasSubstr("/include/"))));
  EXPECT_THAT(
      files,
      AllOf(HasSubstr("/bash-completion/completions/flatimg\n"), HasSubstr("/fish/vendor_completions.d/flatimg.fish\n"),
            HasSubstr("/zsh/vendor-completions/_flatimg\n"), HasSubstr("./usr/lib/systemd/system/flatimg@.service\n")));
  EXPECT_THAT(in_directory("dpkg-deb -c libflatimg-engine-dev_*.deb").output,
              AllOf(HasSubstr("/libflatimg-engine.a\n"), HasSubstr("/pkgconfig/flatimg-engine.pc\n"),
                    HasSubstr("./usr/include/flatimg/catalog/open.h\n"), Not(HasSubstr("/bin/"))));

  if (files.find("/man1/flatimg.1.gz") == std::string::npos) GTEST_SKIP() << "no man pages: scdoc is not installed";
  EXPECT_THAT(files, AllOf(HasSubstr("/man1/flatimg-mount.1.gz\n"), HasSubstr("/man8/umount.fuse.flatimg.8.gz\n")));
  const auto lintian = in_directory("lintian --allow-root --fail-on error,warning *.deb");
  EXPECT_EQ(lintian.exit_code, 0) << lintian.output;
}

TEST_F(Packaging, TheNewestEntryOfTheChangelogIsThisVersion) {
  const auto newest = in_directory("head -n 1 $SOURCES/contrib/packaging/changelog");
  EXPECT_THAT(newest.output, HasSubstr("flatimg (" FLATIMG_VERSION ") "));
}

}  // namespace
}  // namespace flatimg::test
