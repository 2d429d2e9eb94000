// Android sparse images of Android's own tools: read byte-equal, and what the commands say of them.
#include <nlohmann/json.hpp>

#include "interop/both_programs.h"
#include "support/sparse_builder.h"

namespace flatimg::test {
namespace {

class Sparse : public BothPrograms {
 protected:
  void SetUp() override {
    BothPrograms::SetUp();
    for (const char* program : {"img2simg", "simg2img", "simg2simg", "append2simg"}) {
      if (!has_program(program)) GTEST_SKIP() << program << " is not installed";
    }
    make_disk("disk.raw", 5u << 20);
  }

  // Data, words again and again, zeroes and a hole, in parts that begin and end anywhere within blocks.
  void make_disk(const std::string& name, std::size_t length) {
    std::string disk(length, '\0');
    const auto put = [&](std::size_t at, const std::string& what) { disk.replace(at, what.size(), what); };
    put(0, letters(700'001, 1));
    put(1u << 20, std::string(300'000, '\x55'));
    put((1u << 20) + 400'000, letters(100, 2));
    put(length - 5000, letters(5000, 3));
    directory_.write(name, disk);
    must({"fallocate", "--dig-holes", name});
  }
  void expect_equal(const std::string& image, const std::string& raw) {
    const Finished finished = flatimg({"compare", "-F", "raw", image, raw});
    EXPECT_EQ(finished.exit_code, 0) << image << ": " << finished.output;
    EXPECT_EQ(finished.output, "Images are identical.\n");
  }
  static std::string only_line(const Finished& finished) {
    EXPECT_EQ(finished.output.find('\n'), finished.output.size() - 1) << finished.output;
    return finished.output;
  }
};

TEST_F(Sparse, ImagesOfImg2simgReadByteEqual) {
  for (const char* block : {"1024", "4096", "65536", "1028"}) {
    SCOPED_TRACE(block);
    must({"img2simg", "disk.raw", "disk.simg", block});
    must({"simg2img", "disk.simg", "back.raw"});
    expect_equal("disk.simg", "back.raw");
    EXPECT_EQ(flatimg({"check", "disk.simg"}).exit_code, 0);
  }
}

TEST_F(Sparse, ImagesThatWereAppendedToReadByteEqual) {
  make_disk("more.raw", 2u << 20);
  must({"img2simg", "disk.raw", "disk.simg"});
  must({"append2simg", "disk.simg", "more.raw"});
  must({"sh", "-c", "cat disk.raw more.raw > both.raw"});
  expect_equal("disk.simg", "both.raw");
}

TEST_F(Sparse, InfoTellsItsShapeAndWhatIsOdd) {
  SparseBuilder image({4096, 32, 12});
  (void)image.raw(letters(4096, 1));
  (void)image.fill(1, 10);
  image.trailing("tail");
  directory_.write("odd.simg", image.bytes());
  const auto info = json_in(flatimg({"info", "--output=json", "odd.simg"}).output);
  EXPECT_EQ(info["format"], "sparse");
  EXPECT_EQ(info["virtual-size"], 11 * 4096);
  EXPECT_EQ(info["cluster-size"], 4096);
  const auto& details = info["format-specific"]["data"];
  EXPECT_EQ(details["chunks"]["raw"], 1);
  EXPECT_EQ(details["chunks"]["fill"], 1);
  EXPECT_EQ(details["oddities"], (nlohmann::json{"header of 32 bytes", "4 bytes behind the last chunk"}));
  const std::string human = flatimg({"info", "odd.simg"}).output;
  EXPECT_NE(human.find("file format: sparse\n"), std::string::npos) << human;
  EXPECT_NE(human.find("header of 32 bytes"), std::string::npos) << human;
}

TEST_F(Sparse, MapTellsWhereEachChunkIs) {
  SparseBuilder image;
  (void)image.raw(letters(8192, 1));
  (void)image.fill(1, 1);
  (void)image.fill(0, 1);
  (void)image.dont_care(1);
  directory_.write("a.simg", image.bytes());
  EXPECT_EQ(
      flatimg({"map", "--output=json", "a.simg"}).output,
      "[{ \"start\": 0, \"length\": 8192, \"depth\": 0, \"present\": true, \"zero\": false, \"data\": true, "
      "\"offset\": 40},\n"
      "{ \"start\": 8192, \"length\": 4096, \"depth\": 0, \"present\": true, \"zero\": false, \"data\": true},\n"
      "{ \"start\": 12288, \"length\": 4096, \"depth\": 0, \"present\": true, \"zero\": true, \"data\": false},\n"
      "{ \"start\": 16384, \"length\": 4096, \"depth\": 0, \"present\": false, \"zero\": true, \"data\": false}]\n");
}

TEST_F(Sparse, CheckFindsAWrongChecksumAndRepairsNothing) {
  SparseBuilder image;
  (void)image.raw(letters(8192, 1));
  image.put32(24, image.checksum());
  directory_.write("good.simg", image.bytes());
  EXPECT_EQ(flatimg({"check", "good.simg"}).exit_code, 0);
  image.put32(24, image.checksum() + 1);
  directory_.write("bad.simg", image.bytes());
  const Finished finished = flatimg({"check", "bad.simg"});
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_NE(finished.output.find("ERROR: the checksum of the whole disk"), std::string::npos) << finished.output;
  const Finished repair = flatimg({"check", "-r", "all", "bad.simg"});
  EXPECT_EQ(repair.exit_code, 1);
  EXPECT_NE(only_line(repair).find("nothing that can be repaired"), std::string::npos);
}

TEST_F(Sparse, ANamedFormatWinsAndALieIsAnError) {
  must({"img2simg", "disk.raw", "disk.simg"});
  const Finished lie = flatimg({"info", "-f", "sparse", "disk.raw"});
  EXPECT_EQ(lie.exit_code, 1);
  EXPECT_NE(only_line(lie).find("disk.raw: is not an Android sparse image"), std::string::npos);
  const auto as_raw = json_in(flatimg({"info", "-f", "raw", "--output=json", "disk.simg"}).output);
  EXPECT_EQ(as_raw["virtual-size"], std::filesystem::file_size(directory_ / "disk.simg"));
  EXPECT_EQ(flatimg({"map", "-f", "sparse", "disk.raw"}).exit_code, 1);
  EXPECT_EQ(flatimg({"check", "-f", "sparse", "disk.raw"}).exit_code, 1);
}

TEST_F(Sparse, CanBeTheBackingFileOfAnOverlayAndIsCommittedToByNobody) {
  must({"img2simg", "disk.raw", "disk.simg"});
  const Finished made = flatimg({"create", "-f", "qcow2", "-b", "disk.simg", "-F", "sparse", "over.qcow2"});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  must({"simg2img", "disk.simg", "back.raw"});
  expect_equal("over.qcow2", "back.raw");
  const std::string before = contents_of(directory_ / "disk.simg");
  const Finished commit = flatimg({"commit", "over.qcow2"});
  EXPECT_EQ(commit.exit_code, 1);
  EXPECT_NE(only_line(commit).find("are never written"), std::string::npos);
  EXPECT_EQ(contents_of(directory_ / "disk.simg"), before);
}

TEST_F(Sparse, ASplitImageIsOpenedByItsFirstPiece) {
  must({"img2simg", "disk.raw", "disk.simg"});
  must({"simg2simg", "disk.simg", "piece", "200000"});
  for (const char* ending : {"_sparsechunk.", "_sparsechunk"}) {
    must({"sh", "-c", std::string("for p in piece.*; do cp $p system.img") + ending + "${p##*.}; done"});
    const std::string first = std::string("system.img") + ending + "0";
    ASSERT_TRUE(std::filesystem::exists(directory_ / (std::string("system.img") + ending + "3")));
    must({"simg2img", "disk.simg", "back.raw"});
    expect_equal(first, "back.raw");
    const Finished alone = flatimg({"compare", std::string("system.img") + ending + "1", "back.raw"});
    EXPECT_EQ(alone.exit_code, 1) << alone.output;
  }
}

TEST_F(Sparse, PiecesOfAnyNameAreListed) {
  must({"img2simg", "disk.raw", "disk.simg"});
  must({"simg2simg", "disk.simg", "piece", "200000"});
  must({"sh", "-c", "mv piece.0 first; mkdir others; mv piece.* others; simg2img disk.simg back.raw"});
  std::vector<std::string> convert{"convert", "-O", "raw"};
  std::vector<std::string> compare{"compare"};
  for (int number = 1; std::filesystem::exists(directory_ / ("others/piece." + std::to_string(number))); ++number) {
    for (auto* command : {&convert, &compare}) {
      command->insert(command->end(), {"--piece", "others/piece." + std::to_string(number)});
    }
  }
  convert.insert(convert.end(), {"first", "joined.raw"});
  compare.insert(compare.end(), {"first", "back.raw"});
  EXPECT_EQ(flatimg(compare).exit_code, 0);
  EXPECT_EQ(flatimg(convert).exit_code, 0);
  must({"cmp", "joined.raw", "back.raw"});
}

TEST_F(Sparse, OnlySparseImagesComeInPieces) {
  const Finished refused = flatimg({"map", "--piece", "disk.raw", "disk.raw"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(only_line(refused).find("only Android sparse images come in pieces, this is raw"), std::string::npos);
}

TEST_F(Sparse, APieceOfAnotherImageIsRefused) {
  must({"img2simg", "disk.raw", "a_sparsechunk.0"});
  must({"cp", "disk.raw", "a_sparsechunk.1"});
  EXPECT_NE(only_line(flatimg({"map", "a_sparsechunk.0"})).find("a_sparsechunk.1: is not an Android sparse image"),
            std::string::npos);
  must({"img2simg", "disk.raw", "a_sparsechunk.1", "8192"});
  EXPECT_NE(only_line(flatimg({"map", "a_sparsechunk.0"})).find("no pieces of one image"), std::string::npos);
}

}  // namespace
}  // namespace flatimg::test
