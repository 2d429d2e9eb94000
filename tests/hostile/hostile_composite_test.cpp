// Composite disks that lie: about names, circles, sizes, and who writes what. Each is one clear error and changes
// nothing.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/limits.h"
#include "catalog/describe.h"
#include "composite/header.h"
#include "hostile/hostile_image.h"
#include "support/composite_builder.h"
#include "support/matchers.h"

namespace flatimg {
namespace {

using test::CompositeBuilder;
using test::FailsWith;
using test::Qcow2Builder;
using test::Succeeds;
using test::Verdict;

constexpr std::uint64_t kWritable = 1;

class HostileComposite : public ::testing::Test {
 protected:
  // Disks lie one level down, so that "outside" exists.
  void SetUp() override {
    std::filesystem::create_directory(directory_.path() / "in");
    raw("raw", 4096);
  }
  [[nodiscard]] std::string inner(const std::string& name) const { return (directory_.path() / "in" / name).string(); }
  void raw(const std::string& name, std::size_t size) { directory_.write("in/" + name, std::string(size, 'r')); }
  void save(const std::string& name, const CompositeBuilder& disk) { directory_.write("in/" + name, disk.bytes()); }
  // A disk with one part of 4096 bytes.
  void of_one(const std::string& name, const std::string& part, std::uint64_t capability = 0) {
    save(name, CompositeBuilder().version(2).part({part, 0, capability}).length(4096));
  }
  static catalog::OpenRequest request(const std::string& path, Access access) {
    catalog::OpenRequest request;
    request.path = path;
    request.access = access;
    return request;
  }
  Verdict open(const std::string& name, Access access = Access::ReadWrite) {
    const Verdict verdict = test::in_cage([&] {
      return test::with_disk(request(inner(name), access), [](Disk& disk) { return test::read_everything(disk); });
    });
    EXPECT_EQ(test::complaint_about(verdict), "");
    return verdict;
  }
  void expect_refused(const std::string& name, ErrorKind kind, const std::string& words,
                      Access access = Access::ReadWrite) {
    SCOPED_TRACE(name);
    const std::string before = test::contents_of(inner("raw"));
    const Verdict verdict = open(name, access);
    EXPECT_EQ(verdict.kind, Verdict::Kind::Failure);
    EXPECT_EQ(verdict.error, kind) << verdict.text;
    EXPECT_NE(verdict.text.find(words), std::string::npos) << verdict.text;
    EXPECT_TRUE(test::contents_of(inner("raw")) == before);
  }
  void expect_opens(const std::string& name, Access access = Access::ReadWrite) {
    const Verdict verdict = open(name, access);
    EXPECT_EQ(verdict.kind, Verdict::Kind::Success) << verdict.text;
  }
  // Opened here, to look at what comes out.
  Result<catalog::Opened> opened(const std::string& name, Access access = Access::ReadWrite) {
    return catalog::open_image(request(inner(name), access));
  }

  test::TempDir directory_;
};

TEST_F(HostileComposite, NamesNothingOutsideAndNothingThatIsNoFile) {
  directory_.write("outside", std::string(4096, 'x'));
  std::filesystem::create_symlink("../outside", inner("link"));
  ASSERT_EQ(::mkfifo(inner("fifo").c_str(), 0600), 0);
  const auto expect = [&](const std::string& part, ErrorKind kind, const std::string& words) {
    SCOPED_TRACE(part);
    for (const std::uint64_t capability : {std::uint64_t{0}, kWritable}) {
      of_one("disk", part, capability);
      expect_refused("disk", kind, words);
    }
  };
  expect("../outside", ErrorKind::Denied, "disk: part \"../outside\" is outside the permitted directories");
  expect("link", ErrorKind::Denied, "outside");
  expect(directory_ / "outside", ErrorKind::Denied, "outside");
  expect("/etc/passwd", ErrorKind::Denied, "outside");
  expect("/proc/self/fd/0", ErrorKind::Denied, "outside");
  expect("/proc/self/fd/3", ErrorKind::Denied, "outside");
  expect("/dev/zero", ErrorKind::Denied, "outside");
  expect("fifo", ErrorKind::Denied, "is a FIFO");
  expect(".", ErrorKind::Denied, "is a directory");
  expect("missing", ErrorKind::NotFound, "part \"missing\"");
  expect("json:{\"driver\":\"file\"}", ErrorKind::NotFound, "part");
  expect(std::string("raw\0x", 5), ErrorKind::InvalidImage, "NUL");
}

TEST_F(HostileComposite, CannotMakeACircle) {
  for (const std::uint64_t capability : {std::uint64_t{0}, kWritable}) {
    of_one("itself", "itself", capability);
    expect_refused("itself", ErrorKind::InvalidImage, "loop");
    of_one("a", "b", capability);
    of_one("b", "a", capability);
    expect_refused("a", ErrorKind::InvalidImage, "loop");
  }
  // A part whose backing file is the disk.
  Qcow2Builder image;
  image.put64(8, 1024);
  image.put32(16, 4);
  image.put_text(1024, "disk");
  image.save(inner("over"));
  of_one("disk", "over");
  expect_refused("disk", ErrorKind::InvalidImage, "comes back", Access::ReadOnly);
  expect_refused("over", ErrorKind::InvalidImage, "loop", Access::ReadOnly);
}

TEST_F(HostileComposite, GoesTenFilesDeepAndNotDeeper) {
  of_one("1", "raw", kWritable);
  for (int n = 2; n <= 11; ++n) of_one(std::to_string(n), std::to_string(n - 1), kWritable);
  expect_opens("10");
  expect_refused("11", ErrorKind::Limit, "more than 10");
}

TEST_F(HostileComposite, WritesNoFileThatItNeedsTwice) {
  const auto twice = [&](std::uint64_t first, std::uint64_t second, const std::string& name = "raw") {
    save("disk", CompositeBuilder().part({"raw", 0, first}).part({name, 4096, second}).length(8192));
  };
  std::filesystem::create_hard_link(inner("raw"), inner("other-name"));
  for (const char* name : {"raw", "other-name"}) {
    twice(kWritable, kWritable, name);
    expect_refused("disk", ErrorKind::InvalidImage, "is needed twice");
    twice(0, kWritable, name);
    expect_refused("disk", ErrorKind::InvalidImage, "is needed twice");
    twice(kWritable, 0, name);
    expect_refused("disk", ErrorKind::InvalidImage, "is needed twice");
    expect_opens("disk", Access::ReadOnly);
    twice(0, 0, name);
    expect_opens("disk");
  }
}

TEST_F(HostileComposite, IsRefusedWhenAPartIsInUseElsewhere) {
  of_one("disk", "raw", kWritable);
  const auto user = opened("raw");
  ASSERT_THAT(user, Succeeds());
  EXPECT_THAT(opened("disk"), FailsWith(ErrorKind::Busy, "raw"));
  EXPECT_THAT(opened("disk", Access::ReadOnly), FailsWith(ErrorKind::Busy, "raw"));
}

TEST_F(HostileComposite, HasPartsThatEndTooEarlyOnlyForReading) {
  save("disk", CompositeBuilder().part({"raw", 0, kWritable}).length(5000));
  expect_refused("disk", ErrorKind::InvalidImage, "ends 904 bytes before");
  {
    const auto reading = opened("disk", Access::ReadOnly);
    ASSERT_THAT(reading, Succeeds());
    ASSERT_EQ(reading->notes.size(), 1u);
    EXPECT_NE(reading->notes[0].find("zeroes are shown there"), std::string::npos);
  }
  save("disk", CompositeBuilder().part({"raw", 0, 0, 1u << 30}).part({"raw", 4096}).length(8192));
  expect_opens("disk");
}

// The corrupt bit forbids writing.
TEST_F(HostileComposite, IsReadOnlyAsAWholeWhenAPartCannotBeWritten) {
  Qcow2Builder({.incompatible = qcow2::incompatible::kCorrupt}).save(inner("broken"));
  save("disk", CompositeBuilder().part({"raw", 0, kWritable}).part({"broken", 4096, kWritable}).length(8192));
  {
    const auto fallen_back = opened("disk");
    ASSERT_THAT(fallen_back, Succeeds());
    EXPECT_FALSE(fallen_back->chain.front()->traits().writable);
    ASSERT_FALSE(fallen_back->notes.empty());
    EXPECT_NE(fallen_back->notes.back().find("broken"), std::string::npos) << fallen_back->notes.back();
  }
  auto strict = request(inner("disk"), Access::ReadWrite);
  strict.read_only_if_need_be = false;
  EXPECT_THAT(catalog::open_image(strict), FailsWith(ErrorKind::Denied, "broken"));
}

// What a guest writes into a raw part must not be taken for another format when the disk is opened again.
TEST_F(HostileComposite, LetsNobodyTurnARawPartIntoAnotherFormat) {
  raw("header", 4096);
  save("disk", CompositeBuilder().part({"header", 0}).part({"raw", 4096, kWritable}).length(8192));
  auto image = opened("disk");
  ASSERT_THAT(image, Succeeds());
  Disk disk(std::move(image->chain), DiskOptions{});
  EXPECT_THAT(disk.write(GuestOffset(4096), test::bytes_of("QFI\xfb")), FailsWith(ErrorKind::Denied, "format=raw"));
  EXPECT_THAT(disk.write(GuestOffset(4096), test::bytes_of("composite_disk\x1d")), FailsWith(ErrorKind::Denied, ""));
  EXPECT_THAT(disk.write(GuestOffset(4096 + 512), test::bytes_of("QFI\xfb")), Succeeds());
}

TEST_F(HostileComposite, IsDescribedWithoutItsParts) {
  CompositeBuilder disk;
  for (unsigned n = 0; n < limits::kCompositeParts; ++n) disk.part({"/nowhere/" + std::to_string(n), n});
  save("disk", disk.length(limits::kCompositeParts));
  catalog::InspectRequest look;
  look.path = inner("disk");
  EXPECT_THAT(catalog::describe_image(look), Succeeds());
}

TEST_F(HostileComposite, OfManyMegabytesCostsLittle) {
  std::string parts;
  while (parts.size() < (15u << 20)) parts += CompositeBuilder::text(2, "");
  save("many", CompositeBuilder().raw(parts));
  expect_refused("many", ErrorKind::Limit, "more than 512 parts");
  const std::string unknown = CompositeBuilder::text(9, std::string(15u << 20, 'u'));
  save("unknown", CompositeBuilder().part({"raw"}).length(4096).raw(unknown));
  expect_opens("unknown");
  save("long", CompositeBuilder().part({"raw"}).length(4096).raw(unknown).raw(unknown));
  expect_refused("long", ErrorKind::Limit, "too long");
  save("name", CompositeBuilder().part({std::string(1 << 20, 'n')}).length(4096));
  expect_refused("name", ErrorKind::Limit, "more than 4095 bytes");
}

TEST_F(HostileComposite, DamagedAnywhereIsAnErrorOrADisk) {
  const std::string sound =
      CompositeBuilder().version(2).part({"raw", 0, kWritable}).part({"raw2", 2048, 0, 7}).length(4096).bytes();
  raw("raw2", 4096);
  const Verdict verdict = test::in_cage([&]() -> Result<void> {
    for (std::size_t at = 0; at < sound.size(); ++at) {
      for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
        std::string damaged = sound;
        damaged[at] = static_cast<char>(value);
        directory_.write("in/disk", damaged);
        auto look = request(inner("disk"), Access::ReadOnly);
        look.format = "composite";
        (void)test::with_disk(look, [](Disk& disk) { return test::read_everything(disk); });
      }
    }
    return {};
  });
  EXPECT_EQ(verdict.kind, Verdict::Kind::Success) << verdict.text;
}

}  // namespace
}  // namespace flatimg
