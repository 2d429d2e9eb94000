// Images that would make a writer destroy them (iotest 060): entries that point to tables, counters that call used
// clusters free. Each change is refused as CorruptImage, the image is marked, and every other byte that was there
// stays.
#include <array>

#include "hostile/hostile_image.h"

namespace flatimg {
namespace {

using test::Break;
using test::Qcow2Builder;
using test::Qcow2Shape;
using test::Verdict;

// --- entries that point to tables -----------------------------------------------------------------------------------

// A table of the image, found when it has been built. (What snapshots map is not known to a writer, nor is it to QEMU;
// bitmaps are given up with the first change.)
struct Target {
  std::string name;
  std::function<std::uint64_t(const Qcow2Builder&)> place;  // host offset
};

// Guest clusters 0 to 3 hold data, entry 5 stays free for the test.
Qcow2Builder image_with_everything() {
  Qcow2Builder image;
  for (std::uint64_t guest = 0; guest < 4; ++guest) image.add_data(guest);
  image.add_snapshots(1);
  // Back to tables and clusters of its own, so that the test decides alone what is wrong.
  image.put64(image.l1_table(), image.l2_table() | qcow2::kCopied);
  const std::uint64_t shared = image.add_cluster();
  for (std::uint64_t word = 0; word < image.cluster_size(); word += 8)
    image.put64(shared + word, image.get64(image.l2_table() + word));
  image.put64(image.get64(image.get64(64)), shared);
  image.set_refcount(image.l2_table() / image.cluster_size(), 1);
  return image;
}

std::uint64_t snapshot_l1(const Qcow2Builder& image) { return image.get64(image.get64(64)); }

std::vector<Target> targets() {
  return {
      {"refcount_table", [](const Qcow2Builder& image) { return image.refcount_table(); }},
      {"refcount_block", [](const Qcow2Builder& image) { return image.refcount_block(); }},
      {"l1_table", [](const Qcow2Builder& image) { return image.l1_table(); }},
      {"l2_table", [](const Qcow2Builder& image) { return image.l2_table(); }},
      {"snapshot_table", [](const Qcow2Builder& image) { return image.get64(64); }},
      {"snapshot_l1", snapshot_l1},
  };
}

struct Change {
  std::string name;
  std::function<Result<void>(Disk&, GuestRange)> make;
};

std::vector<Change> changes() {
  return {
      {"write",
       [](Disk& disk, GuestRange range) {
         return disk.write(range.begin, std::vector(range.length.value(), std::byte{1}));
       }},
      {"short_write",
       [](Disk& disk, GuestRange range) { return disk.write(range.begin + 700_B, std::vector(100, std::byte{1})); }},
      {"zero", [](Disk& disk, GuestRange range) { return disk.zero(range, Space::Keep); }},
      {"release", [](Disk& disk, GuestRange range) { return disk.zero(range, Space::Release); }},
  };
}

// Performs the change and flushes and closes, whatever comes of it; returns what the change returned.
Verdict changed(const std::string& path, const Change& change, GuestRange range) {
  return test::in_cage([&] {
    return test::with_disk(test::request_for(path, Access::ReadWrite), [&](Disk& disk) -> Result<void> {
      const auto made = change.make(disk, range);
      (void)disk.flush();
      return made;
    });
  });
}

constexpr std::byte kCorruptBit{2};  // in the last byte of the incompatible features

// The autoclear bits of the header may go, and the corrupt bit may come; nothing else in front of `end` may change.
void expect_unharmed(const std::string& path, const Qcow2Builder& image) {
  const std::string now = test::contents_of(path);
  ASSERT_GE(now.size(), image.end());
  const auto bytes = std::as_bytes(std::span(now));
  for (std::uint64_t at = 0; at < image.end(); ++at) {
    if (at >= 88 && at < 96) continue;
    if (at == 79) {
      ASSERT_EQ(bytes[at] & ~kCorruptBit, image.bytes()[at] & ~kCorruptBit);
      continue;
    }
    ASSERT_EQ(bytes[at], image.bytes()[at]) << "byte " << at << " of cluster " << at / image.cluster_size();
  }
}

bool is_marked(const std::string& path) {
  const std::string now = test::contents_of(path);
  return (std::as_bytes(std::span(now))[79] & kCorruptBit) != std::byte{0};
}

void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }
void PrintTo(const Change& change, std::ostream* out) { *out << change.name; }

class EntryIntoATable : public ::testing::TestWithParam<std::tuple<Target, Change, std::string>> {};

TEST_P(EntryIntoATable, IsNeverWrittenThrough) {
  const auto& [target, change, form] = GetParam();
  Qcow2Builder image = image_with_everything();
  const std::uint64_t place = target.place(image);
  image.put64(image.l2_entry(5), form == "copied"   ? place | qcow2::kCopied
                                 : form == "shared" ? place
                                 : form == "zero"   ? place | qcow2::kCopied | qcow2::kZeroFlag
                                                    : image.compressed_entry(place + 100, 0));
  const test::TempDir directory;
  image.save(directory / "image");
  const GuestRange range{GuestOffset(5 * image.cluster_size()), ByteCount(image.cluster_size())};
  const Verdict verdict = changed(directory / "image", change, range);
  EXPECT_EQ(complaint_about(verdict), "");
  EXPECT_EQ(verdict.kind, Verdict::Kind::Failure);
  EXPECT_EQ(verdict.error, ErrorKind::CorruptImage) << verdict.text;
  expect_unharmed(directory / "image", image);
  EXPECT_TRUE(is_marked(directory / "image"));
}

INSTANTIATE_TEST_SUITE_P(All, EntryIntoATable,
                         ::testing::Combine(::testing::ValuesIn(targets()), ::testing::ValuesIn(changes()),
                                            ::testing::Values("copied", "shared", "zero", "compressed")),
                         [](const auto& param) {
                           return std::get<0>(param.param).name + "_" + std::get<1>(param.param).name + "_" +
                                  std::get<2>(param.param);
                         });

// --- entries that are wrong in themselves ---------------------------------------------------------------------------

class WrongEntry : public ::testing::TestWithParam<std::tuple<std::string, std::uint64_t, Change>> {};

TEST_P(WrongEntry, IsNotChangedAndReleasesNothing) {
  const auto& [name, bits, change] = GetParam();
  Qcow2Builder image = image_with_everything();
  image.put64(image.l2_entry(1), image.get64(image.l2_entry(1)) ^ bits);
  const test::TempDir directory;
  image.save(directory / "image");
  const GuestRange range{GuestOffset(image.cluster_size()), ByteCount(image.cluster_size())};
  const Verdict verdict = changed(directory / "image", change, range);
  EXPECT_EQ(complaint_about(verdict), "");
  EXPECT_EQ(verdict.kind, Verdict::Kind::Failure);
  EXPECT_EQ(verdict.error, ErrorKind::CorruptImage) << verdict.text;
  expect_unharmed(directory / "image", image);
  EXPECT_TRUE(is_marked(directory / "image"));
}

INSTANTIATE_TEST_SUITE_P(Misaligned, WrongEntry,
                         ::testing::Combine(::testing::Values("copied"), ::testing::Values(std::uint64_t{512}),
                                            ::testing::ValuesIn(changes())),
                         [](const auto& param) {
                           return std::get<0>(param.param) + "_" + std::get<2>(param.param).name;
                         });
INSTANTIATE_TEST_SUITE_P(MisalignedShared, WrongEntry,
                         ::testing::Combine(::testing::Values("shared"), ::testing::Values(512 | qcow2::kCopied),
                                            ::testing::ValuesIn(changes())),
                         [](const auto& param) {
                           return std::get<0>(param.param) + "_" + std::get<2>(param.param).name;
                         });
INSTANTIATE_TEST_SUITE_P(MisalignedZero, WrongEntry,
                         ::testing::Combine(::testing::Values("zero"), ::testing::Values(std::uint64_t{512 | 1}),
                                            ::testing::ValuesIn(changes())),
                         [](const auto& param) {
                           return std::get<0>(param.param) + "_" + std::get<2>(param.param).name;
                         });

// --- counters that call used clusters free --------------------------------------------------------------------------

class FreeByMistake : public ::testing::TestWithParam<Target> {};

TEST_P(FreeByMistake, IsNeverHandedOut) {
  Qcow2Builder image = image_with_everything();
  image.set_refcount(GetParam().place(image) / image.cluster_size(), 0);
  const test::TempDir directory;
  const std::string path = directory / "image";
  image.save(path);
  const GuestRange unused{GuestOffset(8 * image.cluster_size()), ByteCount(64 * image.cluster_size())};
  const Verdict verdict = changed(path, changes().front(), unused);
  EXPECT_EQ(complaint_about(verdict), "");
  EXPECT_EQ(verdict.kind, Verdict::Kind::Failure);
  EXPECT_EQ(verdict.error, ErrorKind::CorruptImage) << verdict.text;
  expect_unharmed(path, image);
  EXPECT_TRUE(is_marked(path));
}

std::vector<Target> targets_and_header() {
  auto all = targets();
  all.push_back({"header", [](const Qcow2Builder&) { return std::uint64_t{0}; }});
  return all;
}
INSTANTIATE_TEST_SUITE_P(All, FreeByMistake, ::testing::ValuesIn(targets_and_header()),
                         [](const auto& param) { return param.param.name; });

// --- marks in the header --------------------------------------------------------------------------------------------

TEST(MarkedCorrupt, IsReadOnlyAndSaysWhy) {
  Qcow2Builder image({.incompatible = qcow2::incompatible::kCorrupt | qcow2::incompatible::kDirty});
  image.add_data(0);
  const test::TempDir directory;
  const std::string path = directory / "image";
  image.save(path);
  EXPECT_EQ(test::open_both_ways(path).kind, Verdict::Kind::Success);
  EXPECT_EQ(changed(path, changes().front(), {GuestOffset(0), 4096_B}).error, ErrorKind::Denied);
  expect_unharmed(path, image);
  auto request = test::request_for(path, Access::ReadWrite);
  request.read_only_if_need_be = false;
  const Verdict refused = test::in_cage([&] { return test::with_disk(request, test::nothing); });
  EXPECT_EQ(refused.error, ErrorKind::Denied) << refused.text;
}

TEST(MarkedDirty, IsReadAsItIs) {
  Qcow2Builder image({.incompatible = qcow2::incompatible::kDirty});
  image.add_data(0);
  image.set_refcount(5, 0);
  const test::TempDir directory;
  const std::string path = directory / "image";
  image.save(path);
  const Verdict read =
      test::in_cage([&] { return test::with_disk(test::request_for(path, Access::ReadOnly), test::read_everything); });
  EXPECT_EQ(read.kind, Verdict::Kind::Success) << read.text;
  expect_unharmed(path, image);
}

}  // namespace
}  // namespace flatimg
