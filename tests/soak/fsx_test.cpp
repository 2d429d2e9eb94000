// Our own fsx: whatever is done to the flat file of a mount, or to a loop device over it, it holds what plain bytes
// would hold, and so does the image afterwards, by QEMU's word.
//
// FLATIMG_SEED and FLATIMG_ROUNDS choose other and more runs. A run that fails is printed, made as short as it gets;
// written to a file, one operation a line, FLATIMG_FSX=FILE plays it again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "soak/fsx/player.h"
#include "soak/fsx/shrink.h"
#include "support/figures.h"
#include "support/from_environment.h"

namespace flatimg::test::fsx {

inline void PrintTo(const Course& course, std::ostream* out) { *out << course.name; }

namespace {

constexpr std::size_t kOperations = 700;  // of one round
constexpr unsigned kTries = 150;          // to make a failing run shorter
constexpr std::size_t kLast = 30;         // of the operations that are printed

std::string lines_of(std::span<const Operation> run) {
  std::string lines;
  for (const Operation& operation : run) lines += fsx::text_of(operation) + "\n";
  return lines;
}

std::vector<Operation> run_in(const char* file) {
  std::ifstream lines(file);
  std::vector<Operation> run;
  for (std::string line; std::getline(lines, line);) {
    if (const auto operation = parse(line)) run.push_back(*operation);
  }
  return run;
}

// The operations until the failure, and a short list of them that fails.
std::string told(const Course& course, std::span<const Operation> run, const Failure& failure) {
  const auto until = run.first(std::min(failure.at + 1, run.size()));
  const auto fails = [&](const std::vector<Operation>& part) { return play_all(course, part).has_value(); };
  const std::string what = failure.what + "\nat operation " + std::to_string(failure.at) + "; the last ones:\n" +
                           lines_of(until.last(std::min(kLast, until.size())));
  if (!play_all(course, until)) return what + "which does not fail when it is played again";
  const auto cause = shrunk(std::vector<Operation>(until.begin(), until.end()), fails, kTries);
  return what + "shortened to " + std::to_string(cause.size()) + ":\n" + lines_of(cause);
}

// So that no two courses get the same operations.
std::uint64_t own_number(const Course& course) {
  std::uint64_t sum = 0;
  for (const char letter : course.name) sum = sum * 31 + static_cast<unsigned char>(letter);
  return sum % 1000;
}

class Fsx : public ::testing::TestWithParam<Course> {
 protected:
  void play(std::span<const Operation> run, const std::string& origin) {
    const auto failure = play_all(GetParam(), run);
    if (failure) FAIL() << GetParam().name << ", " << origin << "\n" << told(GetParam(), run, *failure);
    operations_ += run.size();
  }
  std::uint64_t operations_ = 0;
};

TEST_P(Fsx, FindsNothing) {
  const Course& course = GetParam();
  if (const auto why = why_not(course.way); !why.empty()) GTEST_SKIP() << why;
  if (const char* const file = std::getenv("FLATIMG_FSX")) return play(run_in(file), file);
  const std::uint64_t first = from_environment("FLATIMG_SEED", 1);
  const std::uint64_t rounds = from_environment("FLATIMG_ROUNDS", 1);
  for (std::uint64_t seed = first; seed < first + rounds && !HasFailure(); ++seed) {
    play(random_run(seed * 1000 + own_number(course), bounds_of(course), kOperations),
         "FLATIMG_SEED=" + std::to_string(seed));
  }
  add_figure("operations of fsx", operations_);
}

Course qcow2(std::string name, const std::string& options, Way way, std::vector<std::string> of_mount = {}) {
  return {.name = std::move(name),
          .make = "qemu-img create -q -f qcow2 " + options + " disk $SIZE",
          .judge = "qemu-img check -q disk; qemu-img compare -q -f qcow2 -F raw disk end.raw",
          .way = way,
          .options = std::move(of_mount)};
}

// It begins with start.raw.
Course converted(std::string name, const std::string& options, Way way, std::vector<std::string> of_mount = {}) {
  Course course = qcow2(std::move(name), "", way, std::move(of_mount));
  course.make = "qemu-img convert -f raw -O qcow2 " + options + " start.raw disk; ln start.raw expected.raw";
  return course;
}

// Over a backing file that is shorter, and ends within a sector.
Course overlay(std::string name, const std::string& options, Way way, std::vector<std::string> of_mount = {}) {
  Course course = qcow2(std::move(name), "", way, std::move(of_mount));
  course.make = "head -c 4000100 start.raw > base; cp base expected.raw; qemu-img create -q -f qcow2 " + options +
                " -b base -F raw disk $SIZE";
  return course;
}

Course plain(std::string name, Way way, std::vector<std::string> of_mount = {}) {
  return {.name = std::move(name),
          .make = "truncate -s $SIZE disk",
          .judge = "cmp disk end.raw",
          .way = way,
          .options = std::move(of_mount)};
}

Course sized(Course course, std::uint64_t bytes) {
  course.size = bytes;
  return course;
}

Course qcow1(Way way) {
  Course course = qcow2("qcow1", "", way);
  course.make = "{ qemu-img convert -f raw -O qcow -c start.raw disk || true; }; ln start.raw expected.raw";
  course.judge = "$FLATIMG check disk; qemu-img compare -q -f qcow -F raw disk end.raw";
  return course;
}

// Parts of three kinds. QEMU reads the one that it knows.
Course composite(Way way) {
  Course course = qcow2("composite", "", way);
  course.make =
      "qemu-img create -q -f qcow2 -o cluster_size=4k a 2M; truncate -s 1536K b; qemu-img create -q -f qcow2 c 2560K;"
      "$FLATIMG compose -O disk a:a:writable b:b:writable c:c:writable";
  course.judge =
      "$FLATIMG check disk; for part in a c; do qemu-img check -q $part; qemu-img convert -O raw $part $part.raw; done;"
      "cat a.raw b c.raw | cmp - end.raw";
  return course;
}

// The disk is never written; what changes is in a file of its own.
Course beneath_overlay(Way way) {
  Course course = qcow2("beneath_overlay_option", "", way, {"overlay=$D/changes"});
  course.make = "cp start.raw disk; ln start.raw expected.raw";
  course.judge = "cmp disk start.raw; qemu-img check -q changes; qemu-img compare -q -f qcow2 -F raw changes end.raw";
  return course;
}

Course encrypted(Way way) {
  Course course = qcow2("encrypted", "", way, {"key-file=$D/key"});
  course.make =
      "printf secret > key; $FLATIMG create -q -f qcow2 --key-file key -o "
      "encrypt.format=luks,encrypt.iter-time=10,cluster_size=4k disk $SIZE";
  course.judge =
      "D=driver=qcow2,encrypt.key-secret=s,file.filename=disk; S=secret,id=s,file=key;"
      "qemu-img check -q --object $S --image-opts $D; "
      "qemu-img convert --object $S --image-opts $D -O raw after.raw; cmp after.raw end.raw";
  return course;
}

std::vector<Course> courses() {
  constexpr std::uint64_t kOdd = (6 << 20) + 1536;  // bytes: the last cluster is not whole
  return {
      plain("nothing_of_ours", Way::Plain),  // fsx itself, with what everybody else relies on
      plain("raw", Way::Directory, {"format=raw"}),
      plain("raw_growable", Way::Directory, {"format=raw", "growable"}),
      sized(qcow2("clusters_of_64k", "", Way::Directory), kOdd),
      qcow2("clusters_of_512", "-o cluster_size=512", Way::Directory, {"cache-size=512K"}),
      sized(qcow2("clusters_of_4k_as_a_file", "-o cluster_size=4k", Way::File, {"flush-interval=1"}), kOdd),
      sized(qcow2("clusters_of_2m", "-o cluster_size=2M", Way::File), 3 * kOdd),
      qcow2("version_2", "-o compat=0.10,cluster_size=4k", Way::Directory, {"detect-zeroes=unmap"}),
      qcow2("extended", "-o extended_l2=on", Way::Directory),
      qcow2("lazy_one_bit", "-o lazy_refcounts=on,refcount_bits=1,cluster_size=1k", Way::File, {"threads=1"}),
      qcow2("data_file", "-o data_file=data,data_file_raw=on,cluster_size=4k", Way::Directory),
      qcow2("growable", "-o cluster_size=4k", Way::Directory, {"growable"}),
      qcow2("growable_as_a_file", "", Way::File, {"growable"}),
      overlay("overlay", "-o cluster_size=16k", Way::Directory),
      overlay("overlay_growable", "-o cluster_size=4k", Way::Directory, {"growable"}),
      overlay("overlay_of_version_2", "-o compat=0.10", Way::File),
      overlay("overlay_extended", "-o extended_l2=on,cluster_size=16k", Way::File, {"detect-zeroes=on"}),
      converted("compressed", "-c -o cluster_size=4k", Way::Directory),
      converted("compressed_by_zstd", "-c -o compression_type=zstd", Way::File, {"discard=ignore"}),
      converted("preallocated", "-o preallocation=metadata", Way::Directory),
      beneath_overlay(Way::Directory),
      qcow2("in_a_tree", "-o cluster_size=4k", Way::Tree),
      overlay("overlay_in_a_tree", "", Way::Tree),
      plain("raw_in_a_tree", Way::Tree),
      encrypted(Way::Directory),
      qcow1(Way::Directory),
      composite(Way::Directory),
      qcow2("loop", "", Way::Loop),
      qcow2("loop_direct", "-o cluster_size=4k", Way::DirectLoop),
      overlay("loop_over_an_overlay", "-o extended_l2=on", Way::DirectLoop),
      converted("loop_compressed", "-c", Way::Loop),
  };
}

INSTANTIATE_TEST_SUITE_P(Courses, Fsx, ::testing::ValuesIn(courses()),
                         [](const auto& param) { return param.param.name; });

// --- fsx itself -----------------------------------------------------------------------------------------------------

TEST(FsxItself, FindsAPlantedByteAndMakesTheRunShort) {
  const Course course = plain("plain", Way::Plain);
  auto run = random_run(3, bounds_of(course), 300);
  run.insert(run.begin() + 200, Operation{Kind::Spoil, 5'000'000, 1, 2});
  const auto failure = play_all(course, run);
  ASSERT_TRUE(failure);
  EXPECT_GE(failure->at, 200u);
  const auto fails = [&](const std::vector<Operation>& part) { return play_all(course, part).has_value(); };
  EXPECT_EQ(shrunk(run, fails, kTries), (std::vector{Operation{Kind::Spoil, 5'000'000, 1, 2}})) << failure->what;
}

TEST(FsxItself, ReadsTheRunsThatItPrints) {
  for (const Operation& operation : random_run(4, {1 << 20, 1, {}}, 500)) {
    EXPECT_EQ(parse(fsx::text_of(operation)), operation) << fsx::text_of(operation);
  }
  EXPECT_EQ(parse("write 12 #3"), std::nullopt);
  EXPECT_EQ(parse("dance 12+3 #3"), std::nullopt);
}

TEST(FsxItself, LeavesOutWhatIsNotToBlame) {
  std::vector<int> numbers(400);
  for (int n = 0; n < 400; ++n) numbers[static_cast<std::size_t>(n)] = n;
  const auto both = [](const std::vector<int>& part) {
    return std::count(part.begin(), part.end(), 37) == 1 && std::count(part.begin(), part.end(), 311) == 1;
  };
  EXPECT_EQ(shrunk(numbers, both, 1000), (std::vector{37, 311}));
}

}  // namespace
}  // namespace flatimg::test::fsx
