// zstd files of the usual tools: read byte-equal when their frames are small, and refused with the way out otherwise.
#include "interop/both_programs.h"
#include "support/zstd_builder.h"

namespace flatimg::test {
namespace {

class Zstd : public BothPrograms {
 protected:
  void SetUp() override {
    BothPrograms::SetUp();
    for (const char* program : {"zstd", "pzstd"}) {
      if (!has_program(program)) GTEST_SKIP() << program << " is not installed";
    }
    std::string disk;
    for (unsigned n = 0; n < 20; ++n) disk += letters(400'000, n) + std::string(300'000, static_cast<char>(n));
    disk.resize(disk.size() / 512 * 512);
    directory_.write("disk.raw", disk);
  }
  void expect_equal(const std::string& image) {
    const Finished finished = flatimg({"compare", "-F", "raw", image, "disk.raw"});
    EXPECT_EQ(finished.exit_code, 0) << image << ": " << finished.output;
    EXPECT_EQ(finished.output, "Images are identical.\n");
    EXPECT_EQ(flatimg({"check", "--data", image}).exit_code, 0);
  }
  static std::string only_line(const Finished& finished) {
    EXPECT_EQ(finished.output.find('\n'), finished.output.size() - 1) << finished.output;
    return finished.output;
  }
  // A seekable file with frames of 128 KiB.
  [[nodiscard]] ZstdBuilder seekable() const {
    const std::string disk = contents_of(directory_ / "disk.raw");
    ZstdBuilder image;
    for (std::size_t at = 0; at < disk.size(); at += 131072) image.frame(disk.substr(at, 131072));
    image.finish(ZstdBuilder::Checksums::InTable);
    return image;
  }
};

TEST_F(Zstd, FilesOfTheUsualToolsReadByteEqual) {
  must({"pzstd", "-q", "disk.raw", "-o", "pzstd.zst"});
  must({"sh", "-c", "split -b 1M --filter='zstd -q -c' disk.raw > pieces.zst"});
  must({"sh", "-c",
        "split -b 1M disk.raw part.; for p in part.*; do zstd -q -1 $p; done; "
        "cat part.*.zst > cat.zst"});
  for (const char* image : {"pzstd.zst", "pieces.zst", "cat.zst"}) expect_equal(image);
}

TEST_F(Zstd, ASeekableFileIsReadByEverybody) {
  directory_.write("seekable.zst", seekable().bytes());
  expect_equal("seekable.zst");
  must({"zstd", "-q", "-d", "seekable.zst", "-o", "back.raw"});
  must({"cmp", "back.raw", "disk.raw"});
  const auto info = json_in(flatimg({"info", "--output=json", "seekable.zst"}).output);
  EXPECT_EQ(info["format"], "zstd");
  EXPECT_EQ(info["virtual-size"], std::filesystem::file_size(directory_ / "disk.raw"));
  const auto& details = info["format-specific"]["data"];
  EXPECT_EQ(details["frames"], 107);
  EXPECT_EQ(details["largest-frame"], 131072);
  EXPECT_EQ(details["seek-table"], true);
  EXPECT_EQ(details["checksums"], true);
}

TEST_F(Zstd, OneLargeFrameIsReadByEveryCommand) {
  must({"zstd", "-q", "disk.raw", "-o", "large.zst"});
  must({"sh", "-c", "zstd -q < disk.raw > pipe.zst"});
  for (const char* image : {"large.zst", "pipe.zst"}) {
    SCOPED_TRACE(image);
    const Finished described = flatimg({"info", "--output=json", image});
    ASSERT_EQ(described.exit_code, 0) << described.output;
    EXPECT_EQ(json_in(described.output)["virtual-size"], std::filesystem::file_size(directory_ / "disk.raw"));
    EXPECT_EQ(flatimg({"check", image}).exit_code, 0);
    EXPECT_EQ(flatimg({"check", "--data", image}).exit_code, 0);
    const Finished same = flatimg({"compare", "-F", "raw", image, "disk.raw"});
    EXPECT_EQ(same.exit_code, 0) << same.output;
    EXPECT_EQ(flatimg({"convert", "-q", "-O", "zstd", image, "NEW.zst"}).exit_code, 0);
    EXPECT_EQ(flatimg({"compare", "-F", "raw", "NEW.zst", "disk.raw"}).exit_code, 0);
  }
  EXPECT_EQ(flatimg({"map", "large.zst"}).exit_code, 0);
  must({"sh", "-c",
        "head -c 1000000 large.zst > cut.zst; cp large.zst bad.zst; "
        "printf '\\377\\377\\377\\377' | dd of=bad.zst bs=1 seek=1000000 conv=notrunc status=none"});
  EXPECT_EQ(flatimg({"check", "cut.zst"}).exit_code, 1);
  EXPECT_EQ(flatimg({"check", "--data", "bad.zst"}).exit_code, 2);
}

TEST_F(Zstd, CheckDecodesWhenAsked) {
  ZstdBuilder image = seekable();
  image.put8(60'000, static_cast<unsigned char>(image.bytes()[60'000] + 1));
  directory_.write("bad.zst", image.bytes());
  EXPECT_EQ(flatimg({"check", "bad.zst"}).exit_code, 0);
  const Finished finished = flatimg({"check", "--data", "bad.zst"});
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_NE(finished.output.find("ERROR: bad.zst: the frame at byte 0"), std::string::npos) << finished.output;
}

TEST_F(Zstd, ANamedFormatWinsAndALieIsAnError) {
  directory_.write("seekable.zst", seekable().bytes());
  const Finished lie = flatimg({"info", "-f", "zstd", "disk.raw"});
  EXPECT_EQ(lie.exit_code, 1);
  EXPECT_NE(only_line(lie).find("disk.raw: at byte 0 is no zstd frame"), std::string::npos) << lie.output;
  const auto as_raw = json_in(flatimg({"info", "-f", "raw", "--output=json", "seekable.zst"}).output);
  EXPECT_EQ(as_raw["virtual-size"], std::filesystem::file_size(directory_ / "seekable.zst"));
}

TEST_F(Zstd, CanBeTheBackingFileOfAnOverlay) {
  directory_.write("seekable.zst", seekable().bytes());
  const Finished made = flatimg({"create", "-f", "qcow2", "-b", "seekable.zst", "-F", "zstd", "over.qcow2"});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const Finished finished = flatimg({"compare", "-F", "raw", "over.qcow2", "disk.raw"});
  EXPECT_EQ(finished.exit_code, 0) << finished.output;
}

}  // namespace
}  // namespace flatimg::test
