// Broken L1 and L2 tables and compressed clusters, met while opening and reading: an error where it is due, zeroes
// where the format says so, the rest of the disk unharmed, and nothing written.
#include <array>

#include "hostile/hostile_image.h"

namespace flatimg {
namespace {

using test::Break;
using test::Qcow2Builder;
using test::Qcow2Shape;
using test::Verdict;

constexpr Qcow2Shape kV2{.version = 2};
constexpr Qcow2Shape kExtended{.cluster_bits = 16, .incompatible = qcow2::incompatible::kExtendedL2};

// What becomes of an image in which guest cluster 1 is broken; guest clusters 0 and 2 hold 0x5a.
enum class Fate {
  NotOpened,  // an error at open
  NotRead,    // cluster 1 gives an error, the others are readable
  Zeroes,     // cluster 1 reads as zeroes
  Data,       // cluster 1 reads as 0x5a
};

struct Broken {
  std::string name;
  Fate fate;
  Break inflict;
  Qcow2Shape shape = {};
};
void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.name; }

Break entry(std::uint64_t word) {
  return [=](Qcow2Builder& image) { image.put64(image.l2_entry(1), word); };
}
Break change(std::uint64_t bits) {
  return [=](Qcow2Builder& image) { image.put64(image.l2_entry(1), image.get64(image.l2_entry(1)) ^ bits); };
}
Break bitmap(std::uint64_t word) {
  return [=](Qcow2Builder& image) { image.put64(image.l2_entry(1) + 8, word); };
}
Break l1_entry(std::uint64_t word) {
  return [=](Qcow2Builder& image) { image.put64(image.l1_table() + 8, word); };
}

std::vector<Broken> broken_l1() {
  constexpr std::uint64_t copied = qcow2::kCopied;
  return {
      {"l1_misaligned", Fate::NotOpened, l1_entry(4096 * 4 + 512 + copied)},
      {"l1_behind_the_end", Fate::NotOpened, l1_entry((std::uint64_t{1} << 40) | copied)},
      {"l1_far_behind_the_end", Fate::NotOpened, l1_entry(qcow2::kOffsetMask)},
      {"l1_reserved_bits", Fate::NotOpened,
       [](Qcow2Builder& image) { image.put64(image.l1_table(), image.l2_table() | 6); }},
      {"l1_on_the_refcount_table", Fate::NotOpened, l1_entry(4096 | copied)},
      {"l1_on_the_refcount_block", Fate::NotOpened, l1_entry(2 * 4096 | copied)},
      {"l1_on_itself", Fate::NotOpened, l1_entry(3 * 4096 | copied)},
      {"l1_twice_the_same_table", Fate::NotOpened, l1_entry(4 * 4096 | copied)},
      {"l1_copied_without_a_table", Fate::Data, l1_entry(copied)},
  };
}

std::vector<Broken> broken_l2() {
  constexpr std::uint64_t copied = qcow2::kCopied;
  constexpr std::uint64_t far = std::uint64_t{1} << 40;
  return {
      {"l2_misaligned", Fate::NotRead, change(512)},
      {"l2_behind_the_end", Fate::NotOpened, entry(far | copied)},
      {"l2_reserved_bits", Fate::Data, change(std::uint64_t{0x3f} << 56)},
      {"l2_zero_flag_in_version_2", Fate::NotRead, change(qcow2::kZeroFlag), kV2},
      {"l2_zero_flag_over_data", Fate::Zeroes, change(qcow2::kZeroFlag)},
      {"l2_zero_flag_over_a_misaligned_place", Fate::Zeroes, change(512 | qcow2::kZeroFlag)},
      {"l2_zero_flag_over_a_place_behind_the_end", Fate::Zeroes, entry(far | copied | qcow2::kZeroFlag)},
      {"l2_copied_without_a_cluster", Fate::Zeroes, entry(copied)},
      {"subclusters_zero_and_allocated", Fate::NotRead, bitmap(~std::uint64_t{0}), kExtended},
      {"subclusters_allocated_nowhere", Fate::NotRead, entry(0), kExtended},
      {"subclusters_at_a_misaligned_place", Fate::NotRead, change(512), kExtended},
      {"subclusters_zero_over_data", Fate::Zeroes, bitmap(qcow2::kAllZeroBitmap), kExtended},
      {"subclusters_of_a_compressed_cluster", Fate::NotRead,
       [](Qcow2Builder& image) { image.put64(image.l2_entry(1), image.compressed_entry(image.add_cluster(), 0)); },
       kExtended},
  };
}

std::vector<Broken> broken_streams() {
  const auto stream = [](std::byte content) {
    return [content](Qcow2Builder& image) {
      image.put64(image.l2_entry(1), image.compressed_entry(image.add_cluster(content), 7));
    };
  };
  return {
      {"stream_of_zeroes", Fate::NotRead, stream(std::byte{0})},
      {"stream_of_garbage", Fate::NotRead, stream(std::byte{0xa5})},
      {"stream_of_ones", Fate::NotRead, stream(std::byte{0xff})},
      {"stream_behind_the_end", Fate::NotOpened, entry(qcow2::kCompressed | std::uint64_t{1} << 40)},
      {"stream_far_behind_the_end", Fate::NotOpened, entry(qcow2::kCompressed | ((std::uint64_t{1} << 58) - 1))},
      {"stream_all_ones", Fate::NotOpened, entry(~std::uint64_t{0})},
      {"stream_that_is_the_header", Fate::NotRead, entry(qcow2::kCompressed)},
      {"stream_across_the_end", Fate::NotRead,
       [](Qcow2Builder& image) {
         const std::uint64_t at = image.add_cluster(std::byte{0x11});
         image.put64(image.l2_entry(1), image.compressed_entry(at + 4000, 15));
       }},
  };
}

class HostileTable : public ::testing::TestWithParam<Broken> {
 protected:
  void SetUp() override {
    Qcow2Builder image(GetParam().shape);
    for (const std::uint64_t guest : {0u, 1u, 2u}) image.add_data(guest);
    GetParam().inflict(image);
    cluster_ = image.cluster_size();
    image.save(path_);
  }

  Verdict read_of(std::uint64_t guest_cluster, std::byte expected) {
    return test::in_cage([&] {
      return test::with_disk(test::request_for(path_, Access::ReadWrite), [&](Disk& disk) -> Result<void> {
        std::vector<std::byte> bytes(cluster_);
        CHECK(disk.read(GuestOffset(guest_cluster * cluster_), bytes));
        if (bytes == std::vector(cluster_, expected)) return {};
        return fail(ErrorKind::Io, "guest cluster {} shows something else", guest_cluster);
      });
    });
  }

  test::TempDir directory_;
  const std::string path_ = directory_ / "image";
  std::uint64_t cluster_ = 0;
};

TEST_P(HostileTable, IsMetWithAnErrorWhereItIsWrong) {
  const Fate fate = GetParam().fate;
  const Verdict opened = test::open_both_ways(path_);
  if (fate == Fate::NotOpened) {
    EXPECT_EQ(opened.kind, Verdict::Kind::Failure);
    EXPECT_TRUE(opened.error == ErrorKind::CorruptImage || opened.error == ErrorKind::InvalidImage) << opened.text;
    return;
  }
  ASSERT_EQ(opened.kind, Verdict::Kind::Success) << opened.text;
  const std::string before = test::contents_of(path_);
  for (const std::uint64_t sound : {0u, 2u}) {
    const Verdict read = read_of(sound, std::byte{0x5a});
    EXPECT_EQ(read.kind, Verdict::Kind::Success) << read.text;
  }
  const Verdict read = read_of(1, fate == Fate::Data ? std::byte{0x5a} : std::byte{0});
  EXPECT_EQ(complaint_about(read), "");
  EXPECT_EQ(read.kind, fate == Fate::NotRead ? Verdict::Kind::Failure : Verdict::Kind::Success) << read.text;
  EXPECT_TRUE(fate != Fate::NotRead || read.error == ErrorKind::CorruptImage) << read.text;
  EXPECT_TRUE(test::contents_of(path_) == before) << "reading has changed the file";
}

const auto kName = [](const auto& param) { return param.param.name; };
INSTANTIATE_TEST_SUITE_P(L1, HostileTable, ::testing::ValuesIn(broken_l1()), kName);
INSTANTIATE_TEST_SUITE_P(L2, HostileTable, ::testing::ValuesIn(broken_l2()), kName);
INSTANTIATE_TEST_SUITE_P(Streams, HostileTable, ::testing::ValuesIn(broken_streams()), kName);

// --- large claims in small files ------------------------------------------------------------------------------------

// A file that is nearly all hole may claim tables at the limits: that is paid for in memory, but never above the bound.
TEST(LargestTables, OfAFileOfHolesFitIntoMemoryAndTime) {
  Qcow2Builder image({.cluster_bits = 16, .size = std::uint64_t{1} << 40});
  const std::uint64_t l1 = std::uint64_t{1} << 30;
  const std::uint64_t refcounts = std::uint64_t{2} << 30;
  image.put64(40, l1);
  image.put32(36, (32u << 20) / 8);
  image.put64(48, refcounts);
  image.put32(56, (8u << 20) / 65536);
  const test::TempDir directory;
  const std::string path = directory / "image";
  image.save(path);
  std::filesystem::resize_file(path, std::uint64_t{3} << 30);
  for (const auto& work : {test::nothing, test::read_everything}) {
    const Verdict verdict =
        test::in_cage([&] { return test::with_disk(test::request_for(path, Access::ReadWrite), work); });
    EXPECT_EQ(complaint_about(verdict), "");
    EXPECT_EQ(verdict.kind, Verdict::Kind::Success) << verdict.text;
  }
}

TEST(LargestTables, OfADirtyFileAreNotRebuiltByTheirClaims) {
  Qcow2Builder image({.cluster_bits = 9, .size = std::uint64_t{1} << 24, .incompatible = qcow2::incompatible::kDirty});
  image.put64(image.refcount_table(), 0);
  const test::TempDir directory;
  const std::string path = directory / "image";
  image.resize(image.end() + (1u << 20));
  image.save(path);
  const Verdict verdict =
      test::in_cage([&] { return test::with_disk(test::request_for(path, Access::ReadWrite), test::nothing); });
  EXPECT_EQ(complaint_about(verdict), "");
  EXPECT_LE(std::filesystem::file_size(path), image.end() + (64u << 10));
}

}  // namespace
}  // namespace flatimg
