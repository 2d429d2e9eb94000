// What an audit finds in an image that is in use, and that it accuses nobody else.
#include "qcow2/table_audit.h"

#include <random>
#include <thread>

#include "engine/qcow2/written_image.h"
#include "qcow2/check.h"
#include "support/from_environment.h"
#include "support/image_oracle.h"
#include "support/matchers.h"
#include "support/qcow2_damage_groups.h"
#include "view/disk_audit.h"

namespace flatimg::qcow2 {
namespace {

using test::Damage;
using test::Qcow2Builder;
using test::Succeeds;

std::uint64_t counter(Disk& disk, std::string_view name) {
  for (const auto& [one, value] : disk.counters()) {
    if (one == name) return value;
  }
  return 0;
}

/// A whole pass, with nobody else there. Returns how many passes failed.
std::uint64_t audit(Disk& disk) {
  DiskAudit audit(disk);
  while (audit.step({}) == DiskAudit::Step::Made) {
  }
  return audit.failures();
}

// --- what is found --------------------------------------------------------------------------------------------------

struct Contradiction {
  std::string name;
  std::function<void(Qcow2Builder&)> inflict;
  std::string words;
  test::Qcow2Shape shape = {};
};
void PrintTo(const Contradiction& one, std::ostream* out) { *out << one.name; }

std::vector<Contradiction> contradictions() {
  using Image = Qcow2Builder;
  const auto flip_entry = [](std::uint64_t bits) {
    return [bits](Image& image) { test::flip(image, image.l2_entry(1), bits); };
  };
  return {
      {"reserved_bits", flip_entry(std::uint64_t{1} << 60), "reserved bits"},
      {"low_reserved_bits", flip_entry(2), "reserved bits"},
      {"misaligned", flip_entry(512), "beginning of a cluster"},
      {"misaligned_and_reserved_only", flip_entry(512 | kZeroFlag), "beginning of a cluster"},
      {"reserved_behind_the_file",
       [](Image& image) { image.put64(image.l2_entry(9), (image.end() + 4096) | kCopied | kZeroFlag); },
       "behind the end"},
      {"counted_as_free", [](Image& image) { image.set_refcount(test::data_cluster(image, 1), 0); }, "as free"},
      {"l2_table_counted_as_free", [](Image& image) { image.set_refcount(image.l2_table() / 4096, 0); }, "as free"},
      {"own_but_shared", [](Image& image) { image.set_refcount(test::data_cluster(image, 1), 2); }, "2 times"},
      {"l2_table_own_but_shared", [](Image& image) { image.set_refcount(image.l2_table() / 4096, 2); }, "2 times"},
      {"on_the_l1_table", [](Image& image) { image.put64(image.l2_entry(9), image.l1_table() | kCopied); },
       "holds a table"},
      {"on_the_header", [](Image& image) { image.put64(image.l2_entry(9), image.compressed_entry(100, 0)); },
       "holds a table"},
      {"on_the_refcount_block", [](Image& image) { image.put64(image.l2_entry(9), image.refcount_block() | kCopied); },
       "holds a table"},
      {"on_its_own_table", [](Image& image) { image.put64(image.l2_entry(9), image.l2_table() | kCopied); },
       "holds a table"},
      {"named_twice", [](Image& image) { image.put64(image.l2_entry(9), image.get64(image.l2_entry(1))); },
       "another entry"},
      {"named_twice_far_apart",
       [](Image& image) {
         const std::uint64_t table = image.add_cluster();
         image.put64(image.l1_table() + 8, table | kCopied);
         image.put64(table + 80, image.get64(image.l2_entry(1)));
       },
       "another entry"},
      {"compressed_and_own",
       [](Image& image) { image.put64(image.l2_entry(5), image.compressed_entry(image.add_cluster(), 0) | kCopied); },
       "COPIED"},
      {"compressed_counted_as_free",
       [](Image& image) {
         const std::uint64_t at = image.add_cluster();
         image.set_refcount(at / 4096, 0);
         image.put64(image.l2_entry(5), image.compressed_entry(at, 0));
       },
       "as free"},
      {"compressed_reaches_into_a_free_one",
       [](Image& image) {
         const std::uint64_t at = image.add_cluster();
         image.set_refcount(image.add_cluster() / 4096, 0);
         image.put64(image.l2_entry(5), image.compressed_entry(at + 4000, 2));
       },
       "as free"},
      {"two_streams_counted_once",
       [](Image& image) {
         const std::uint64_t at = image.add_cluster();
         image.put64(image.l2_entry(5), image.compressed_entry(at, 0));
         image.put64(image.l2_entry(6), image.compressed_entry(at + 600, 0));
       },
       "another entry"},
      {"zero_flag_of_version_2", [](Image& image) { image.put64(image.l2_entry(9), kZeroFlag); }, "version 2",
       test::damage_shape::kV2},
      {"subcluster_zero_and_allocated",
       [](Image& image) { test::flip(image, image.l2_entry(1) + 8, std::uint64_t{1} << 63); },
       "bitmap",
       {.cluster_bits = 16, .incompatible = incompatible::kExtendedL2}},
      {"subclusters_allocated_nowhere",
       [](Image& image) { image.put64(image.l2_entry(9) + 8, 3); },
       "bitmap",
       {.cluster_bits = 16, .incompatible = incompatible::kExtendedL2}},
  };
}

Qcow2Builder image_of(const test::Qcow2Shape& shape) {
  Qcow2Builder image(shape);
  for (const std::uint64_t guest : {0u, 1u, 2u}) image.add_data(guest);
  return image;
}

class TableAuditFinds : public ::testing::TestWithParam<Contradiction> {};

TEST_P(TableAuditFinds, TheContradiction) {
  Qcow2Builder built = image_of(GetParam().shape);
  GetParam().inflict(built);
  WrittenImage image(built);
  EXPECT_EQ(audit(image.disk()), 1u);
  ASSERT_TRUE(image.disk().corruption().has_value());
  EXPECT_NE(image.disk().corruption()->find(GetParam().words), std::string::npos) << *image.disk().corruption();
  EXPECT_TRUE(image.marked() || GetParam().shape.version == 2);
  EXPECT_THAT(image.write(0), test::FailsWith(ErrorKind::ReadOnly, ""));
}

INSTANTIATE_TEST_SUITE_P(All, TableAuditFinds, ::testing::ValuesIn(contradictions()),
                         [](const auto& param) { return param.param.name; });

// What no check objects to, no audit does. (With a data file nothing can be opened here.) Except where a pointer leads
// into another structure: a check compares counters, and they may be right by chance.
TEST(TableAudit, AccusesNoImageThatACheckFindsSound) {
  unsigned sound = 0;
  unsigned accused = 0;
  for (const Damage& damage : test::all_damages()) {
    if ((damage.shape.incompatible & incompatible::kDataFile) != 0) continue;
    const Qcow2Builder built = damaged_image(damage);
    std::unique_ptr<WrittenImage> image;
    try {
      image = std::make_unique<WrittenImage>(built);
    } catch (const std::exception&) {
      continue;  // refused when it is opened
    }
    const std::uint64_t failures = audit(image->disk());
    const bool found = image->disk().corruption().has_value();
    EXPECT_EQ(failures, found ? 1u : 0u) << damage.name;
    accused += found ? 1 : 0;
    if (damage.corruptions > 0 || damage.name.find(" led to ") != std::string::npos) continue;
    ++sound;
    EXPECT_FALSE(found) << damage.name << ": " << *image->disk().corruption();
    EXPECT_EQ(image->bytes(), built.bytes()) << damage.name;
  }
  EXPECT_GT(sound, 20u);
  EXPECT_GT(accused, 60u);
}

TEST(TableAudit, CountsLeaksAndChangesNothing) {
  Qcow2Builder built = image_of({});
  built.add_cluster();
  built.add_cluster();
  WrittenImage image(built);
  EXPECT_EQ(audit(image.disk()), 0u);
  EXPECT_EQ(counter(image.disk(), "audited-leaks"), 2u);
  EXPECT_EQ(counter(image.disk(), "audits"), 1u);
  EXPECT_EQ(image.bytes(), built.bytes());
}

TEST(TableAudit, CallsNothingALeakThatIsReservedOrAboutToBeFree) {
  WrittenImage image(image_of({}));
  EXPECT_THAT(image.write(5), Succeeds());
  EXPECT_THAT(image.disk().zero(image.guest(1), Space::Release), Succeeds());
  EXPECT_EQ(audit(image.disk()), 0u);
  EXPECT_EQ(counter(image.disk(), "audited-leaks"), 0u);
}

TEST(TableAudit, IsMadeAgainOnlyWhenTablesWereWritten) {
  WrittenImage image(image_of({}));
  const auto audits = [&] { return counter(image.disk(), "audits"); };
  audit(image.disk());
  audit(image.disk());
  EXPECT_EQ(audits(), 1u);
  EXPECT_THAT(image.write(5), Succeeds());
  EXPECT_THAT(image.disk().flush(), Succeeds());
  audit(image.disk());
  EXPECT_EQ(audits(), 2u);
}

TEST(TableAudit, WaitsBetweenTwoPasses) {
  WrittenImage image(image_of({}));
  DiskAudit one(image.disk());
  const DiskAudit::Clock::time_point begin{};
  while (one.step(begin) == DiskAudit::Step::Made) {
  }
  EXPECT_THAT(image.write(5), Succeeds());
  EXPECT_THAT(image.disk().flush(), Succeeds());
  EXPECT_EQ(one.step(begin + DiskAudit::kBetweenPasses - std::chrono::seconds(1)), DiskAudit::Step::Nothing);
  EXPECT_EQ(one.step(begin + DiskAudit::kBetweenPasses), DiskAudit::Step::Made);
}

TEST(TableAudit, LeavesTheCachesAsTheyWere) {
  Qcow2Builder built({.cluster_bits = 9, .size = 1u << 20});
  for (unsigned guest = 0; guest < 64; ++guest) built.add_data(guest);
  WrittenImage image(built);
  EXPECT_THAT(image.write(0), Succeeds());
  std::vector<std::uint64_t> before;
  const std::vector<std::string> names{"l2-cache-hits",         "l2-cache-misses", "refcount-cache-hits",
                                       "refcount-cache-misses", "l2-cache-pages",  "refcount-cache-pages"};
  for (const auto& name : names) before.push_back(counter(image.disk(), name));
  EXPECT_EQ(audit(image.disk()), 0u);
  EXPECT_EQ(counter(image.disk(), "audits"), 1u);
  for (std::size_t n = 0; n < names.size(); ++n) EXPECT_EQ(counter(image.disk(), names[n]), before[n]) << names[n];
}

TEST(TableAudit, EndsEarlyAndAccusesNobodyWhenTheHostFails) {
  WrittenImage image(image_of({}));
  image.file().plan({.calls = {test::Call::Read}});
  EXPECT_EQ(audit(image.disk()), 1u);
  EXPECT_FALSE(image.disk().corruption().has_value());
  EXPECT_EQ(audit(image.disk()), 0u);
}

TEST(TableAudit, EndsWhenASnapshotChangesTheTables) {
  WrittenImage image(image_of({}));
  EXPECT_THAT(image.write(600), Succeeds());  // in another L2 table
  DiskAudit one(image.disk());
  EXPECT_EQ(one.step({}), DiskAudit::Step::Made);
  EXPECT_THAT(image.disk().create_snapshot(snapshot_now("first")), Succeeds());
  while (one.step({}) == DiskAudit::Step::Made) {
  }
  EXPECT_EQ(one.failures(), 0u);
  EXPECT_EQ(counter(image.disk(), "audits"), 0u);
  EXPECT_EQ(audit(image.disk()), 0u);
  EXPECT_EQ(counter(image.disk(), "audits"), 1u);
}

TEST(TableAudit, EndsWhenASnapshotComesAndGoesWhileLeaksAreCounted) {
  WrittenImage image(image_of({}));
  DiskAudit one(image.disk());
  for (int pages = 0; pages < 2; ++pages) EXPECT_EQ(one.step({}), DiskAudit::Step::Made);
  EXPECT_THAT(image.disk().create_snapshot(snapshot_now("first")), Succeeds());
  EXPECT_THAT(image.disk().delete_snapshot("first"), Succeeds());
  int steps = 0;
  while (one.step({}) == DiskAudit::Step::Made) ASSERT_LT(++steps, 100);
  EXPECT_EQ(one.failures(), 0u);
  EXPECT_EQ(counter(image.disk(), "audits"), 0u);
}

// --- beside others --------------------------------------------------------------------------------------------------

/// What several threads do to a disk while it is audited; every kind of change, all over a small disk.
class Writers {
 public:
  Writers(Disk& disk, std::uint64_t cluster, std::uint64_t seed) : disk_(disk), cluster_(cluster), seed_(seed) {}

  void work(unsigned thread, int operations) {
    std::mt19937_64 random(seed_ * 31 + thread);
    for (int n = 0; n < operations; ++n) operate(random);
    ++ended;
  }
  std::atomic<unsigned> ended{0};

 private:
  void operate(std::mt19937_64& random) {
    const std::uint64_t size = disk_.size().value();
    const std::uint64_t at = random() % (size - 1);
    const std::uint64_t length = std::min(size - at, 1 + random() % (6 * cluster_));
    const GuestRange range{GuestOffset(at), ByteCount(length)};
    switch (random() % 12) {
      case 0:
      case 1:
        return expect(disk_.zero(range, Space::Keep));
      case 2:
      case 3:
      case 4:
        return expect(disk_.zero(range, Space::Release));
      case 5:
        return expect(disk_.flush());
      case 6:
        return expect(disk_.allocate(range));
      case 7:
        return write_compressed(align_down(range.begin, ByteCount(cluster_)), random);
      default:
        return expect(disk_.write(range.begin, std::vector(length, static_cast<std::byte>(random()))));
    }
  }
  void write_compressed(GuestOffset unit, std::mt19937_64& random) {
    const std::vector data(cluster_, static_cast<std::byte>(random()));
    const auto encoded = disk_.top().encode(data);
    ASSERT_THAT(encoded, Succeeds());
    if (!encoded->empty()) expect(disk_.write_encoded(unit, *encoded));
  }
  static void expect(const Result<void>& result) { EXPECT_THAT(result, Succeeds()); }

  Disk& disk_;
  std::uint64_t cluster_;
  std::uint64_t seed_;
};

struct Layouts {
  std::string name;
  test::Qcow2Shape shape;
};
void PrintTo(const Layouts& one, std::ostream* out) { *out << one.name; }

class TableAuditBeside : public ::testing::TestWithParam<Layouts> {};

TEST_P(TableAuditBeside, WritersAccusesNobody) {
  constexpr unsigned kThreads = 4;
  const std::uint64_t seed = test::from_environment("FLATIMG_SEED", 11);
  const int operations = static_cast<int>(test::from_environment("FLATIMG_OPERATIONS", 1500));
  SCOPED_TRACE(seed);
  const test::Qcow2Shape& shape = GetParam().shape;
  WrittenImage image(Qcow2Builder(shape), Access::ReadWrite, std::chrono::milliseconds(1));
  Writers writers(image.disk(), std::uint64_t{1} << shape.cluster_bits, seed);
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < kThreads; ++n) threads.emplace_back([&, n] { writers.work(n, operations); });
  std::uint64_t failures = 0;
  while (writers.ended < kThreads) {
    DiskAudit audit(image.disk());
    while (audit.step({}) != DiskAudit::Step::Nothing) {
    }
    failures += audit.failures();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(image.disk().flush(), Succeeds());
  EXPECT_EQ(failures + audit(image.disk()), 0u);
  EXPECT_FALSE(image.disk().corruption().has_value()) << *image.disk().corruption();
  EXPECT_GT(counter(image.disk(), "audits"), 3u);
  EXPECT_THAT(image.disk().close(), Succeeds());
  test::expect_no_errors(*image.copy(), test::Leaks::AreErrors);
}

INSTANTIATE_TEST_SUITE_P(Layouts, TableAuditBeside,
                         ::testing::Values(Layouts{"version_2", {.version = 2}}, Layouts{"clusters_of_4_KiB", {}},
                                           Layouts{"clusters_of_512_bytes", {.cluster_bits = 9, .size = 1u << 20}},
                                           Layouts{"clusters_of_64_KiB", {.cluster_bits = 16, .size = 32u << 20}},
                                           Layouts{"counters_of_1_bit", {.refcount_order = 0}},
                                           Layouts{"counters_of_64_bits", {.refcount_order = 6}},
                                           Layouts{"extended_entries",
                                                   {.cluster_bits = 14, .incompatible = incompatible::kExtendedL2}}),
                         [](const auto& param) { return param.param.name; });

// Sizes and snapshots change over to other tables in the middle of a pass.
TEST(TableAudit, AccusesNobodyWhenSizesAndSnapshotsChange) {
  WrittenImage image(image_of({.cluster_bits = 9, .size = 1u << 20}), Access::ReadWrite, std::chrono::milliseconds(1));
  Writers writers(image.disk(), 512, 5);
  std::atomic<bool> done{false};
  std::thread changer([&] {
    for (int n = 0; n < 40; ++n) {
      writers.work(static_cast<unsigned>(n), 20);
      const std::string name = "s" + std::to_string(n);
      EXPECT_THAT(image.disk().create_snapshot(snapshot_now(name)), Succeeds());
      writers.work(static_cast<unsigned>(n), 20);
      const auto then = [&]() -> Result<void> {
        if (n % 3 == 0) return image.disk().resize(ByteCount((1u << 20) + 1024 * static_cast<unsigned>(n)));
        return n % 3 == 1 ? image.disk().apply_snapshot(name) : Result<void>();
      }();
      EXPECT_THAT(then, Succeeds());
      EXPECT_THAT(n % 2 == 0 ? image.disk().delete_snapshot(name) : Result<void>(), Succeeds());
    }
    done = true;
  });
  std::uint64_t failures = 0;
  while (!done) {
    DiskAudit audit(image.disk());
    while (audit.step({}) != DiskAudit::Step::Nothing) {
    }
    failures += audit.failures();
  }
  changer.join();
  EXPECT_EQ(failures + audit(image.disk()), 0u);
  EXPECT_FALSE(image.disk().corruption().has_value()) << *image.disk().corruption();
  EXPECT_GT(counter(image.disk(), "audits"), 0u);
}

}  // namespace
}  // namespace flatimg::qcow2
