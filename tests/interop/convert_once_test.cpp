// flatimg convert to the formats that are written once, Android sparse and seekable zstd: simg2img and zstd read them.
#include <fstream>
#include <map>

#include "base/endian.h"
#include "interop/conversion.h"

namespace flatimg::test {
namespace {

class ConvertOnce : public Conversion {
 protected:
  /// Text, bytes that do not compress, a word again and again, zeroes that are stored, holes, the end in a hole.
  void make_source() const {
    must({"sh", "-c",
          "seq 200000 > source && head -c 300000 /dev/urandom >> source && truncate -s 4M source && "
          "yes abc | head -c 1M >> source && head -c 1M /dev/zero >> source && truncate -s 12M source && "
          "head -c 8192 /dev/urandom >> source && truncate -s 16M source"});
  }
  [[nodiscard]] std::string bytes_of(const std::string& name) const { return contents_of(directory_ / name); }
  /// Blocks of each kind of chunk.
  [[nodiscard]] std::map<unsigned, std::uint64_t> blocks_by_kind(const std::string& name) const {
    const std::string text = bytes_of(name);
    const auto bytes = std::as_bytes(std::span(text));
    std::map<unsigned, std::uint64_t> blocks;
    for (std::size_t at = 28; at < bytes.size(); at += load_le<std::uint32_t>(bytes, at + 8)) {
      blocks[load_le<std::uint16_t>(bytes, at)] += load_le<std::uint32_t>(bytes, at + 4);
    }
    return blocks;
  }
};

constexpr unsigned kRaw = 0xCAC1;
constexpr unsigned kFill = 0xCAC2;
constexpr unsigned kDontCare = 0xCAC3;
constexpr unsigned kCrc32 = 0xCAC4;

// --- sparse ---------------------------------------------------------------------------------------------------------

TEST_F(ConvertOnce, WritesSparseImagesThatSimg2imgReads) {
  if (!has_program("simg2img")) GTEST_SKIP() << "simg2img is not installed";
  make_source();
  for (const char* options : {"block_size=4096", "block_size=1k", "block_size=64k", "crc=on", "block_size=1M,crc=on"}) {
    SCOPED_TRACE(options);
    convert({"-f", "raw", "-O", "sparse", "-o", options, "source", "target"});
    must({"simg2img", "target", "theirs"});
    must({"cmp", "source", "theirs"});
    EXPECT_EQ(flatimg({"compare", "-f", "raw", "source", "target"}).exit_code, 0);
    EXPECT_EQ(flatimg({"check", "target"}).exit_code, 0);
  }
}

TEST_F(ConvertOnce, FindsRepeatedWordsAndWhatIsNotThere) {
  make_source();
  convert({"-f", "raw", "-O", "sparse", "source", "target"});
  const auto blocks = blocks_by_kind("target");
  EXPECT_EQ(blocks.at(kFill), 512u);  // 1 MiB of "abc\n" and 1 MiB of zeroes that are stored
  EXPECT_GE(blocks.at(kDontCare), 2000u);
  EXPECT_LE(blocks.at(kRaw), 500u);
  EXPECT_EQ(blocks.count(kCrc32), 0u);
}

TEST_F(ConvertOnce, WritesTheChecksumOfTheWholeDisk) {
  make_source();
  convert({"-f", "raw", "-O", "sparse", "-o", "crc=on", "-T", "3", "source", "target"});
  const std::string text = bytes_of("target");
  const auto bytes = std::as_bytes(std::span(text));
  const Finished theirs = in_directory({"python3", "-c", "import zlib;print(zlib.crc32(open('source','rb').read()))"});
  EXPECT_EQ(std::to_string(load_le<std::uint32_t>(bytes, 24)) + "\n", theirs.output);
  EXPECT_EQ(load_le<std::uint16_t>(bytes, bytes.size() - 16), kCrc32);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, bytes.size() - 4), load_le<std::uint32_t>(bytes, 24));
}

TEST_F(ConvertOnce, CutsStoredBlocksIntoChunksOf64MiB) {
  if (!has_program("simg2img")) GTEST_SKIP() << "simg2img is not installed";
  must({"sh", "-c", "head -c 150M /dev/urandom > source"});
  convert({"-f", "raw", "-O", "sparse", "source", "target"});
  EXPECT_EQ(length_of("target"), (150 << 20) + 28 + 3 * 12);
  must({"simg2img", "target", "theirs"});
  must({"cmp", "source", "theirs"});
}

TEST_F(ConvertOnce, FillsTheLastBlockWithZeroesAndSaysSo) {
  must({"sh", "-c", "seq 2000 > source; cp source padded; truncate -s 12288 padded"});
  const Finished finished = flatimg({"convert", "-f", "raw", "-O", "sparse", "source", "target"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_NE(finished.output.find("zeroes follow"), std::string::npos) << finished.output;
  EXPECT_EQ(flatimg({"compare", "-f", "raw", "padded", "target"}).exit_code, 0);
}

// --- zstd -----------------------------------------------------------------------------------------------------------

TEST_F(ConvertOnce, WritesZstdFilesThatZstdReads) {
  make_source();
  for (const char* options : {"frame_size=128k", "frame_size=4k", "frame_size=8M", "compression_level=19",
                              "compression_level=1,checksum=off"}) {
    SCOPED_TRACE(options);
    convert({"-f", "raw", "-O", "zstd", "-o", options, "source", "target"});
    must({"sh", "-c", "zstd -q -d -f -c target > theirs && cmp source theirs"});
    EXPECT_EQ(flatimg({"compare", "-f", "raw", "source", "target"}).exit_code, 0);
    EXPECT_EQ(flatimg({"check", "--data", "target"}).exit_code, 0);
  }
}

TEST_F(ConvertOnce, EndsZstdFilesWithASeekTable) {
  make_source();
  convert({"-f", "raw", "-O", "zstd", "source", "target"});
  const std::string text = bytes_of("target");
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(load_le<std::uint32_t>(bytes, bytes.size() - 4), 0x8F92EAB1u);
  EXPECT_EQ(bytes[bytes.size() - 5], std::byte{0});
  const auto frames = load_le<std::uint32_t>(bytes, bytes.size() - 9);
  EXPECT_EQ(frames, 16u * 1024 / 128);
  const std::size_t table = bytes.size() - 9 - 8 * frames;
  EXPECT_EQ(load_le<std::uint32_t>(bytes, table - 8), 0x184D2A5Eu);
  EXPECT_EQ(load_le<std::uint32_t>(bytes, table - 4), 8 * frames + 9);
  std::uint64_t stored = 0;
  for (std::size_t n = 0; n < frames; ++n) {
    EXPECT_EQ(load_le<std::uint32_t>(bytes, stored), 0xFD2FB528u);
    stored += load_le<std::uint32_t>(bytes, table + 8 * n);
    EXPECT_EQ(load_le<std::uint32_t>(bytes, table + 8 * n + 4), 128u * 1024);
  }
  EXPECT_EQ(stored, table - 8);
}

TEST_F(ConvertOnce, WritesDisksOfAnyLengthAsZstd) {
  for (const char* length : {"0", "1", "511", "131072", "131073", "1048575"}) {
    SCOPED_TRACE(length);
    must({"sh", "-c", std::string("seq 400000 | head -c ") + length + " > source"});
    convert({"-f", "raw", "-O", "zstd", "source", "target"});
    must({"sh", "-c", "zstd -q -d -f -c target > theirs && cmp source theirs"});
    EXPECT_EQ(flatimg({"compare", "-f", "raw", "source", "target"}).exit_code, 0);
  }
}

TEST_F(ConvertOnce, DoesNotReadHolesOfLargeDisks) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "source", "8T"});
  must({"qemu-io", "-c", "write -P 3 7T 10k", "source"});
  convert({"-O", "sparse", "source", "target.simg"});
  EXPECT_EQ(length_of("target.simg"), 28 + 12 + 16 + 12 + 4096 + 16 + 12);
  EXPECT_EQ(flatimg({"compare", "source", "target.simg"}).exit_code, 0);
  must(
      {"sh", "-c", "truncate -s 40G plain && printf end | dd of=plain bs=1 seek=40000000000 conv=notrunc status=none"});
  convert({"-O", "zstd", "-o", "frame_size=8M", "plain", "target.zst"});
  EXPECT_LT(length_of("target.zst"), 4 << 20);
}

// --- both -----------------------------------------------------------------------------------------------------------

TEST_F(ConvertOnce, TakesEveryFormatAndGivesItBack) {
  make_source();
  must({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", "source", "base.qcow2"});
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2"});
  must({"qemu-io", "-c", "write -P 5 3M 200k", "-c", "write -z 0 64k", "top.qcow2"});
  must({"qemu-img", "convert", "-O", "raw", "top.qcow2", "flat"});
  for (const char* format : {"sparse", "zstd"}) {
    SCOPED_TRACE(format);
    convert({"-O", format, "top.qcow2", "target"});
    convert({"-O", "qcow2", "target", "back"});
    must({"qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", "flat", "back"});
  }
}

TEST_F(ConvertOnce, RefusesOptionsThatMakeNoSenseAndLeavesNothing) {
  make_source();
  must({"sh", "-c", "echo something of value > target"});
  const std::string before = in_directory({"sh", "-c", "ls -A; cat target"}).output;
  const auto refused = [&](const char* format, const char* option, const char* why) {
    expect_refused({"convert", "-f", "raw", "-O", format, "-o", option, "source", "target"}, why);
  };
  refused("sparse", "block_size=3000", "power of two");
  refused("sparse", "block_size=512", "between 1k and 1M");
  refused("sparse", "crc=maybe", "'on' or 'off'");
  refused("sparse", "frame_size=4k", "Invalid parameter 'frame_size'");
  refused("zstd", "frame_size=16M", "between 4k and 8M");
  refused("zstd", "compression_level=0", "from 1 to 22");
  refused("zstd", "compression_level=23", "from 1 to 22");
  refused("zstd", "compat=1.1", "Invalid parameter 'compat'");
  must({"qemu-img", "create", "-q", "-f", "qcow2", "huge", "17T"});
  expect_refused({"convert", "-O", "sparse", "huge", "target"}, "use -o block_size=1M");
  must({"truncate", "-s", "0", "empty"});
  expect_refused({"convert", "-f", "raw", "-O", "sparse", "empty", "target"}, "without bytes");
  must({"rm", "huge", "empty"});
  EXPECT_EQ(in_directory({"sh", "-c", "ls -A; cat target"}).output, before);
}

}  // namespace
}  // namespace flatimg::test
