// Formats within formats: every format behind an overlay of qcow2 and of qcow, as a part of a composite disk, and two
// of these around one another; read and written through the mount. Behind an overlay nothing changes.
#include <gtest/gtest.h>

#include <algorithm>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

struct Nesting {
  std::string inmost;               // a format
  std::vector<std::string> around;  // from within: qcow2, qcow (overlays) or composite
};
std::string name_of(const Nesting& nesting) {
  std::string name = nesting.inmost;
  for (const std::string& around : nesting.around) name += "_in_" + around;
  return name;
}
void PrintTo(const Nesting& nesting, std::ostream* out) { *out << name_of(nesting); }

const std::vector<std::string> kInmost{"raw", "qcow2", "compressed", "qcow", "sparse", "zstd", "frame", "composite"};

std::vector<Nesting> all_nestings() {
  std::vector<Nesting> all;
  for (const std::string& inmost : kInmost) {
    for (const char* around : {"qcow2", "qcow", "composite"}) all.push_back({inmost, {around}});
    all.push_back({inmost, {"composite", "qcow2"}});
    all.push_back({inmost, {"qcow", "composite", "composite"}});
  }
  return all;
}

class NestedFormats : public ::testing::TestWithParam<Nesting> {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    for (const char* program : {"qemu-img", "zstd", "img2simg"}) {
      if (!has_program(program)) GTEST_SKIP() << program << " is not installed";
    }
    runs(
        "mkdir mnt; (seq 200000; head -c 500000 /dev/urandom; head -c 300000 /dev/zero; head -c 300000 /dev/zero | tr '\\0' a)"
        " > disk.raw; truncate -s 4M disk.raw");
    make_inmost();
    for (const std::string& around : GetParam().around) wrap_in(around);
  }
  void runs(const std::string& script) const {
    const auto finished = shell("cd " + dir_.path().string() + "; " + script);
    ASSERT_EQ(finished.exit_code, 0) << script << "\n" << finished.output;
  }
  void make_inmost() {
    const std::string& format = GetParam().inmost;
    top_ = "image0";
    if (format == "raw") runs("cp disk.raw image0");
    if (format == "qcow2") runs("qemu-img convert -f raw -O qcow2 -o cluster_size=4k disk.raw image0");
    if (format == "compressed") runs("qemu-img convert -c -f raw -O qcow2 disk.raw image0");
    if (format == "qcow") runs("qemu-img convert -f raw -O qcow disk.raw image0");
    if (format == "sparse") runs("img2simg disk.raw image0");
    if (format == "zstd") runs("$FLATIMG convert -q -f raw -O zstd disk.raw image0");
    if (format == "frame") runs("zstd -q --no-check disk.raw -o image0");
    if (format == "composite") {
      runs(
          "head -c 1M disk.raw > front; tail -c 3M disk.raw > rest; qemu-img convert -f raw -O qcow2 rest back;"
           "$FLATIMG compose -O image0 a:front:writable b:back:writable");
    }
    writable_ = format != "sparse" && format != "zstd" && format != "frame";
  }
  void wrap_in(const std::string& format) {
    const std::string inner = top_;
    top_ = "image" + std::to_string(++layers_);
    if (format == "composite") {
      runs("$FLATIMG compose -O " + top_ + " part:" + inner + (writable_ ? ":writable" : ""));
      return;
    }
    runs("$FLATIMG create -f " + format + " -b " + inner + " " + top_);
    behind_overlay_.push_back(inner);
    writable_ = true;
  }
  /// The files that must not change, their contents, and those of their parts.
  [[nodiscard]] std::string sums_behind() const {
    if (behind_overlay_.empty()) return "";
    std::string files;
    for (unsigned n = 0; "image" + std::to_string(n) != behind_overlay_.back(); ++n) {
      files += " image" + std::to_string(n);
    }
    return shell("cd " + dir_.path().string() + "; sha256sum " + files + " " + behind_overlay_.back() +
                 "; for f in front back; do test ! -e $f || sha256sum $f; done")
        .output;
  }
  [[nodiscard]] std::string options() const { return "cache-size=4M,unpack-dir=" + (dir_ / "unpacked"); }

  TempDir dir_;
  std::string top_;
  unsigned layers_ = 0;
  bool writable_ = false;
  std::vector<std::string> behind_overlay_;  // what is behind the overlays
};

TEST_P(NestedFormats, AreReadAndWritten) {
  const std::string before = sums_behind();
  {
    MountedImage mounted(dir_ / top_, dir_ / "mnt", {options()});
    ASSERT_TRUE(mounted.mounted());
    const std::string flat = "mnt/" + top_;
    runs("cmp " + flat + " disk.raw; test $(stat -c %a " + flat + ") = " + (writable_ ? "600" : "444") +
         " || test $(stat -c %a " + flat + ") = 644");
    if (writable_) {
      runs("head -c 200000 /dev/urandom > new; for f in " + flat +
           " disk.raw; do for at in 0 1000000 1048000 3900000; do dd if=new of=$f bs=1000 seek=$((at/1000)) "
           "conv=notrunc status=none; done; printf x | dd of=$f bs=1 seek=2222222 conv=notrunc status=none;"
           " fallocate -z -o 2500000 -l 400000 $f; done; sync " +
           flat + "; cmp " + flat + " disk.raw");
    }
    mounted.unmount();
  }
  EXPECT_EQ(sums_behind(), before);
  const auto same = shell("cd " + dir_.path().string() + "; $FLATIMG compare -F raw " + top_ + " disk.raw");
  EXPECT_EQ(same.exit_code, 0) << same.output;
}

INSTANTIATE_TEST_SUITE_P(Matrix, NestedFormats, ::testing::ValuesIn(all_nestings()),
                         [](const auto& nesting) { return name_of(nesting.param); });

TEST(NestingDepth, TenAreReadAndElevenRefused) {
  if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
  const TempDir dir;
  const auto made = shell("cd " + dir.path().string() +
                          "; mkdir mnt; seq 100000 > image0; truncate -s 1M image0; cp image0 disk.raw;"
                          "for n in $(seq 11); do if test $((n % 2)) = 0; then $FLATIMG create -f qcow2 -b "
                          "image$((n-1)) image$n; else $FLATIMG compose -O image$n p:image$((n-1)):writable; fi; done");
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const auto refused = flatimg({"mount", dir / "image11", dir / "mnt"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("10"), std::string::npos) << refused.output;
  MountedImage mounted(dir / "image10", dir / "mnt");
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(shell("cmp " + mounted.flat() + " " + (dir / "disk.raw")).exit_code, 0);
  mounted.unmount();
}

}  // namespace
}  // namespace flatimg::test
