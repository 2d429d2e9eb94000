// What an image names: backing files and data files that are missing, outside, no files, the image itself, or too many.
#include <sys/stat.h>

#include <array>

#include "hostile/hostile_image.h"

namespace flatimg {
namespace {

using test::Qcow2Builder;
using test::Verdict;

constexpr std::uint64_t kNamePlace = 512;

Qcow2Builder naming(std::string_view backing) {
  Qcow2Builder image;
  image.add_data(0);
  image.put64(8, kNamePlace);
  image.put32(16, static_cast<std::uint32_t>(backing.size()));
  image.put_text(kNamePlace, backing);
  return image;
}

Qcow2Builder naming_data_file(std::string_view name) {
  Qcow2Builder image({.incompatible = qcow2::incompatible::kDataFile});
  image.add_extension(qcow2::extension::kDataFile, name);
  return image;
}

class NamesInImages : public ::testing::Test {
 protected:
  Verdict open(const std::string& name, Access access = Access::ReadWrite) {
    const Verdict verdict =
        test::in_cage([&] { return test::with_disk(test::request_for(inner(name), access), test::read_everything); });
    EXPECT_EQ(complaint_about(verdict), "");
    return verdict;
  }
  void expect_refused(const std::string& name, ErrorKind kind, Access access = Access::ReadWrite) {
    const std::string before = test::contents_of(inner(name));
    const Verdict verdict = open(name, access);
    EXPECT_EQ(verdict.kind, Verdict::Kind::Failure);
    EXPECT_EQ(verdict.error, kind) << verdict.text;
    EXPECT_TRUE(test::contents_of(inner(name)) == before) << "the file has changed";
  }
  void expect_backing_refused(std::string_view backing, ErrorKind kind) {
    SCOPED_TRACE(backing);
    naming(backing).save(inner("image"));
    expect_refused("image", kind);
    EXPECT_NE(open("image").text.find("image"), std::string::npos);
  }

  // Images lie one level down, so that "outside" exists.
  [[nodiscard]] std::string inner(const std::string& name) const { return (directory_.path() / "in" / name).string(); }
  void SetUp() override { std::filesystem::create_directory(directory_.path() / "in"); }

  test::TempDir directory_;
};

TEST_F(NamesInImages, ThatLeadNowhereAreRefused) {
  expect_backing_refused("missing", ErrorKind::NotFound);
  expect_backing_refused(std::string(1023, 'x'), ErrorKind::Io);
  expect_backing_refused("no/such/directory", ErrorKind::NotFound);
}

TEST_F(NamesInImages, AreNamesAndNotProtocols) {
  for (const char* name : {"json:{\"file.filename\":\"/etc/passwd\"}", "nbd:localhost:10809", "nbd://localhost/x",
                           "file:image", "fd:0", "http://localhost/x", "fat:rw:.", "blkdebug::image"}) {
    naming(name).save(inner("image"));
    const Verdict verdict = open("image");
    EXPECT_EQ(verdict.kind, Verdict::Kind::Failure) << name;
    EXPECT_TRUE(verdict.error == ErrorKind::NotFound || verdict.error == ErrorKind::Denied) << name << verdict.text;
  }
}

TEST_F(NamesInImages, ThatLeadOutsideAreRefused) {
  directory_.write("outside", std::string(4096, 'x'));
  std::filesystem::create_symlink("../outside", inner("link"));
  expect_backing_refused("../outside", ErrorKind::Denied);
  expect_backing_refused("link", ErrorKind::Denied);
  expect_backing_refused(directory_ / "outside", ErrorKind::Denied);
  expect_backing_refused("/etc/passwd", ErrorKind::Denied);
  expect_backing_refused("/proc/self/fd/0", ErrorKind::Denied);
  expect_backing_refused("/dev/zero", ErrorKind::Denied);
}

TEST_F(NamesInImages, ThatAreNoFilesAreRefusedAtOnce) {
  ASSERT_EQ(::mkfifo(inner("fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(inner("directory"));
  std::filesystem::create_symlink("/dev/zero", inner("device"));
  expect_backing_refused("fifo", ErrorKind::Denied);
  expect_backing_refused("directory", ErrorKind::Denied);
  expect_backing_refused("device", ErrorKind::Denied);
  expect_backing_refused(".", ErrorKind::Denied);
}

TEST_F(NamesInImages, CannotMakeACircle) {
  naming("image").save(inner("image"));
  expect_refused("image", ErrorKind::InvalidImage, Access::ReadOnly);
  naming("b").save(inner("a"));
  naming("a").save(inner("b"));
  expect_refused("a", ErrorKind::InvalidImage, Access::ReadOnly);
  std::filesystem::create_hard_link(inner("a"), inner("other-name"));
  naming("other-name").save(inner("c"));
  naming("c").save(inner("a"));
  expect_refused("a", ErrorKind::InvalidImage, Access::ReadOnly);
  // For writing the locks may be the first to object.
  EXPECT_EQ(open("a").kind, Verdict::Kind::Failure);
  EXPECT_EQ(open("image").kind, Verdict::Kind::Failure);
}

TEST_F(NamesInImages, MakeChainsOfTenAndNotMore) {
  Qcow2Builder().save(inner("0"));
  for (int n = 1; n <= 11; ++n) naming(std::to_string(n - 1)).save(inner(std::to_string(n)));
  EXPECT_EQ(open("10").kind, Verdict::Kind::Success) << open("10").text;
  expect_refused("11", ErrorKind::Limit);
}

TEST_F(NamesInImages, OfDataFilesFollowTheSameRules) {
  directory_.write("outside", std::string(4096, 'x'));
  const auto expect = [&](std::string_view name, ErrorKind kind, Access access = Access::ReadWrite) {
    SCOPED_TRACE(name);
    naming_data_file(name).save(inner("image"));
    expect_refused("image", kind, access);
  };
  expect("missing", ErrorKind::NotFound);
  expect("../outside", ErrorKind::Denied);
  expect(directory_ / "outside", ErrorKind::Denied);
  expect("json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}", ErrorKind::NotFound);
  expect("/etc/passwd", ErrorKind::Denied);
  expect("", ErrorKind::InvalidImage);
  expect(std::string_view("a\0b", 3), ErrorKind::InvalidImage);
  expect("image", ErrorKind::InvalidImage);
  expect("image", ErrorKind::InvalidImage, Access::ReadOnly);
}

TEST_F(NamesInImages, OfABackingFileGiveNoWayToItsDataFile) {
  naming_data_file("../outside").save(inner("base"));
  directory_.write("outside", std::string(4096, 'x'));
  naming("base").save(inner("image"));
  expect_refused("image", ErrorKind::Denied);
}

}  // namespace
}  // namespace flatimg
