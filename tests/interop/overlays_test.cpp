// compare, commit and rebase, judged by qemu-img; and the reverse.
#include "interop/both_programs.h"

namespace flatimg::test {
namespace {

struct OverlayCase {
  std::string name;
  std::string overlay_options;
  std::string overlay_size;
  std::string base_format;
  std::string base_size;
};
void PrintTo(const OverlayCase& overlay, std::ostream* out) { *out << overlay.name; }

// base <- over: `over` has data, zeroes and unallocated parts that end within clusters; other: a base that differs.
class Overlays : public BothPrograms, public ::testing::WithParamInterface<OverlayCase> {
 protected:
  void SetUp() override {
    BothPrograms::SetUp();
    const OverlayCase& shape = GetParam();
    io_in(shape.base_format, "base", shape.base_size, {"write -P 1 0 2M", "write -P 2 2560k 200k"});
    must({"cp", "base", "other"});
    must({"qemu-io", "-f", shape.base_format, "-c", "write -P 9 1M 300k", "-c", "write -z 100k 64k", "-c",
          "write -P 1 2600k 5k", "other"});
    make_overlay("over");
    must({"qemu-img", "convert", "-O", "raw", "over", "want"});
  }
  void io_in(const std::string& format, const std::string& image, const std::string& size, const Words& commands) {
    must({"qemu-img", "create", "-q", "-f", format, image, size});
    io(format, image, commands);
  }
  void io(const std::string& format, const std::string& image, const Words& commands) {
    Words words{"qemu-io", "-f", format};
    for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
    words.push_back(image);
    must(words);
  }
  void make_overlay(const std::string& image) {
    const OverlayCase& shape = GetParam();
    must({"qemu-img", "create", "-q", "-f", "qcow2", "-o", shape.overlay_options, "-b", "base", "-F", shape.base_format,
          image, shape.overlay_size});
    io("qcow2", image, {"write -P 5 100k 300k", "write -P 6 1500k 3k", "write -z 700k 1M", "discard 640k 64k"});
  }
  void expect_clean(const std::string& image) {
    EXPECT_EQ(qemu_img({"check", "-q", "-f", "qcow2", image}).exit_code, 0) << qemu_img({"check", image}).output;
  }
  void expect_shows(const std::string& image, const std::string& format, const std::string& raw) {
    const Finished finished = qemu_img({"compare", "-f", format, "-F", "raw", image, raw});
    EXPECT_EQ(finished.exit_code, 0) << image << ": " << finished.output;
  }
};

TEST_P(Overlays, CompareSaysWhatQemuImgSays) {
  make_overlay("twin");
  must({"cp", "want", "changed"});
  must({"qemu-io", "-f", "raw", "-c", "write -P 77 1700k 1k", "changed"});
  const std::vector<Words> pairs{{"over", "want"},    {"over", "twin"},  {"over", "changed"}, {"over", "base"},
                                 {"want", "changed"}, {"base", "other"}, {"base", "base"}};
  for (Words pair : pairs) {
    for (const bool strict : {false, true}) {
      Words arguments{"compare"};
      if (strict) arguments.push_back("-s");
      arguments.insert(arguments.end(), pair.begin(), pair.end());
      const Finished ours = flatimg(arguments);
      const Finished theirs = qemu_img(arguments);
      EXPECT_EQ(ours.exit_code, theirs.exit_code)
          << pair[0] << " " << pair[1] << strict << ours.output << theirs.output;
      if (strict) continue;
      EXPECT_EQ(ours.output, theirs.output) << pair[0] << " " << pair[1];
    }
  }
  EXPECT_EQ(flatimg({"compare", "over", "missing"}).exit_code, 2);
}

TEST_P(Overlays, CommitPutsEverythingIntoTheBase) {
  const Finished finished = flatimg({"commit", "over"});
  ASSERT_EQ(finished.exit_code, 0) << finished.output;
  EXPECT_EQ(finished.output, "Image committed.\n");
  expect_clean("over");
  expect_shows("over", "qcow2", "want");
  if (GetParam().base_format == "qcow2") expect_clean("base");
  const Finished map = qemu_img({"map", "--output=json", "over"});
  EXPECT_EQ(map.output.find("\"depth\": 0, \"present\": true, \"zero\": false, \"data\": true"), std::string::npos)
      << map.output;
  // The same by qemu-img from the same beginning.
  const Finished theirs = qemu_img({"compare", "-f", GetParam().base_format, "-F", "raw", "base", "want"});
  if (GetParam().base_size > GetParam().overlay_size) return;  // what is longer stays so
  EXPECT_EQ(theirs.exit_code, 0) << theirs.output;
  EXPECT_EQ(flatimg({"commit", "over"}).exit_code, 0) << "an empty overlay";
}

TEST_P(Overlays, CommitCanLeaveTheOverlayAsItIs) {
  ASSERT_EQ(flatimg({"commit", "-q", "-d", "over"}).output, "");
  expect_clean("over");
  expect_shows("over", "qcow2", "want");
  ASSERT_EQ(flatimg({"rebase", "-u", "-b", "", "over"}).exit_code, 0);
  const Finished map = qemu_img({"map", "--output=json", "over"});
  EXPECT_NE(map.output.find("\"data\": true"), std::string::npos) << map.output;
}

TEST_P(Overlays, RebaseKeepsWhatTheDiskShows) {
  const Finished finished = flatimg({"rebase", "-b", "other", "-F", GetParam().base_format, "over"});
  ASSERT_EQ(finished.exit_code, 0) << finished.output;
  EXPECT_EQ(finished.output, "");
  expect_clean("over");
  expect_shows("over", "qcow2", "want");
  const auto info = json_in(qemu_img({"info", "--output=json", "over"}).output);
  EXPECT_EQ(info["backing-filename"], "other");
  EXPECT_EQ(info["backing-filename-format"], GetParam().base_format);
  ASSERT_EQ(flatimg({"rebase", "-b", "base", "-F", GetParam().base_format, "over"}).exit_code, 0);
  expect_clean("over");
  expect_shows("over", "qcow2", "want");
}

TEST_P(Overlays, RebaseToNothingMakesTheDiskStandAlone) {
  ASSERT_EQ(flatimg({"rebase", "-b", "", "over"}).exit_code, 0);
  must({"rm", "base"});
  expect_clean("over");
  expect_shows("over", "qcow2", "want");
}

TEST_P(Overlays, UnsafeRebaseChangesTheNameOnly) {
  must({"cp", "over", "theirs"});
  must({"mv", "base", "moved"});
  ASSERT_EQ(flatimg({"rebase", "-u", "-b", "moved", "-F", GetParam().base_format, "over"}).exit_code, 0);
  expect_clean("over");
  expect_shows("over", "qcow2", "want");
  must({"qemu-img", "rebase", "-u", "-b", "moved", "-F", GetParam().base_format, "theirs"});
  EXPECT_EQ(json_in(flatimg({"info", "--output=json", "theirs"}).output)["backing-filename"], "moved");
  expect_same_info("over");
}

std::vector<OverlayCase> overlay_cases() {
  return {{"plain", "compat=1.1", "4M", "raw", "4M"},
          {"version_2", "compat=0.10", "4M", "raw", "4M"},
          {"over_qcow2", "compat=1.1", "4M", "qcow2", "4M"},
          {"clusters_512", "cluster_size=512", "4M", "raw", "4M"},
          {"clusters_2m", "cluster_size=2M", "5M", "raw", "3M"},
          {"extended", "extended_l2=on", "4M", "qcow2", "3M"},
          {"longer", "compat=1.1", "6M", "raw", "3M"},
          {"longer_over_qcow2", "cluster_size=4k", "6M", "qcow2", "3M"},
          {"shorter", "compat=1.1", "3M", "raw", "4M"}};
}

INSTANTIATE_TEST_SUITE_P(Shapes, Overlays, ::testing::ValuesIn(overlay_cases()),
                         [](const auto& instance) { return instance.param.name; });

class OverlayErrors : public BothPrograms {
 protected:
  void SetUp() override {
    BothPrograms::SetUp();
    must({"qemu-img", "create", "-q", "-f", "raw", "base", "1M"});
    must({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", "over"});
  }
  void expect_refused(const Words& arguments, const std::string& words) {
    const Finished before = in_directory({"sha256sum", "base", "over"});
    const Finished finished = flatimg(arguments);
    EXPECT_EQ(finished.exit_code, 1) << finished.output;
    EXPECT_NE(finished.output.find(words), std::string::npos) << finished.output;
    EXPECT_EQ(in_directory({"sha256sum", "base", "over"}).output, before.output);
  }
};

TEST_F(OverlayErrors, AreOneLineAndChangeNothing) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "alone", "1M"});
  expect_refused({"commit", "alone"}, "has no backing file");
  expect_refused({"commit", "base"}, "backing file");
  expect_refused({"rebase", "-b", "missing", "over"}, "missing");
  expect_refused({"rebase", "-u", "-b", "missing", "over"}, "missing");
  expect_refused({"rebase", "-b", "over", "-F", "qcow2", "over"}, "over");
  expect_refused({"rebase", "-u", "-b", "base", "-F", "nonsense", "over"}, "nonsense");
  expect_refused({"rebase", "-b", "/etc/hostname", "-F", "raw", "over"}, "allow-path");
}

TEST_F(OverlayErrors, CommitNeedsARecordedFormat) {
  must({"bash", "-c",
        "cp base raw-base; qemu-img create -q -f qcow2 -b raw-base -F raw guessed; "
        "printf '\\0\\0\\0\\0\\0\\0\\0\\0' | dd of=guessed bs=1 seek=112 conv=notrunc status=none"});
  expect_refused({"commit", "guessed"}, "is not recorded");
}

}  // namespace
}  // namespace flatimg::test
