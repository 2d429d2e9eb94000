// flatimg convert: what comes out is judged by qemu-img, and appears complete or not at all.
#include <sys/stat.h>

#include <filesystem>

#include "interop/conversion.h"

namespace flatimg::test {
namespace {

constexpr const char* kContent = "write -P 1 0 64k; write -P 2 1M 300k; write -z 2M 128k; write -P 3 7M 1000k";

class Convert : public Conversion {
 protected:
  void io(const std::string& image, const std::string& commands) const {
    Words words{"qemu-io"};
    std::size_t begin = 0;
    while (begin < commands.size()) {
      const std::size_t end = std::min(commands.find(';', begin), commands.size());
      words.insert(words.end(), {"-c", commands.substr(begin, end - begin)});
      begin = end + 1;
    }
    words.push_back(image);
    must(words);
  }
  /// An image with data, zeroes and holes.
  void make_source(const std::string& name, const std::string& options = "compat=1.1") const {
    must({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, name, "8M"});
    io(name, kContent);
  }
  [[nodiscard]] std::string sum_of(const std::string& name) const { return in_directory({"sha256sum", name}).output; }
  [[nodiscard]] std::string names() const { return in_directory({"ls", "-A"}).output; }
  [[nodiscard]] long blocks_of(const std::string& name) const {
    struct stat found {};
    EXPECT_EQ(::stat((directory_ / name).c_str(), &found), 0);
    return found.st_blocks;
  }
};

TEST_F(Convert, GivesTheSameDiskInEveryForm) {
  make_source("source");
  for (const char* options :
       {"compat=1.1", "compat=0.10", "cluster_size=512", "cluster_size=2M", "extended_l2=on,cluster_size=128k",
        "refcount_bits=1", "refcount_bits=64", "lazy_refcounts=on", "preallocation=metadata", "preallocation=full",
        "data_file=outside,data_file_raw=on", "compression_type=zstd"}) {
    SCOPED_TRACE(options);
    convert({"-O", "qcow2", "-o", options, "source", "target"});
    must({"qemu-img", "check", "-q", "target"});
    must({"qemu-img", "compare", "-q", "source", "target"});
  }
  convert({"-O", "raw", "source", "target"});
  must({"qemu-img", "convert", "-O", "raw", "source", "theirs"});
  must({"cmp", "target", "theirs"});
}

TEST_F(Convert, ReadsWhatOtherImagesAndOtherFormatsHold) {
  make_source("base");
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "top", "12M"});
  io("top", "write -P 9 100k 5k; write -z 7M 64k; write -P 8 11M 64k");
  must({"qemu-img", "convert", "-c", "-O", "qcow2", "top", "packed"});
  must({"qemu-img", "convert", "-O", "raw", "top", "flat"});
  for (const char* source : {"top", "packed", "flat"}) {
    SCOPED_TRACE(source);
    convert({"-O", "qcow2", source, "target"});
    must({"qemu-img", "check", "-q", "target"});
    must({"qemu-img", "compare", "-q", "-F", "raw", "target", "flat"});
    EXPECT_EQ(json_in(flatimg({"info", "--output=json", "target"}).output).count("backing-filename"), 0u);
  }
}

TEST_F(Convert, GivesAndTakesOtherFormats) {
  make_source("source");
  for (const char* options : {"xen=sparse", "xen=preallocated", "backing_file="}) {
    const bool valid = std::string(options) != "backing_file=";
    const Finished finished = flatimg({"convert", "-O", "qcow", "-o", options, "source", "target"});
    EXPECT_EQ(finished.exit_code, valid ? 0 : 1) << finished.output;
    must({"qemu-img", "compare", "-q", "-F", "qcow", "source", "target"});
  }
  must({"qemu-img", "convert", "-O", "raw", "source", "flat"});
  must({"img2simg", "flat", "flat.simg"});
  must({"zstd", "-q", "flat", "-o", "flat.zst"});
  for (const char* source : {"flat.simg", "flat.zst"}) {
    convert({"-O", "qcow2", source, "target"});
    must({"qemu-img", "compare", "-q", "-F", "qcow2", "flat", "target"});
  }
}

TEST_F(Convert, KeepsHoles) {
  make_source("source");
  convert({"-O", "raw", "source", "target.raw"});
  convert({"-O", "qcow2", "target.raw", "target.qcow2"});
  must({"qemu-img", "convert", "-O", "raw", "source", "theirs.raw"});
  must({"qemu-img", "convert", "-O", "qcow2", "source", "theirs.qcow2"});
  EXPECT_LE(blocks_of("target.raw"), blocks_of("theirs.raw") + 16);
  constexpr long kTables = 256;  // whole clusters of tables get their space before they are written
  EXPECT_LE(blocks_of("target.qcow2"), blocks_of("theirs.qcow2") + kTables);
}

TEST_F(Convert, FillsTheLastSectorOfAnOddFileWithZeroes) {
  must({"sh", "-c", "yes | head -c 1000 > odd; cp odd padded; truncate -s 1024 padded"});
  convert({"-f", "raw", "-O", "raw", "odd", "target"});
  must({"cmp", "padded", "target"});
  must({"sh", "-c", ": > empty"});
  convert({"-f", "raw", "-O", "qcow2", "empty", "target"});
  must({"qemu-img", "check", "-q", "target"});
}

TEST_F(Convert, EnciphersAndDeciphers) {
  make_source("source");
  must({"sh", "-c", "printf one > first; printf two > second"});
  convert({"-O", "qcow2", "-o", "encrypt.format=luks,encrypt.iter-time=10", "--target-key-file", "first", "source",
           "secret"});
  must({"qemu-img", "compare", "-q", "--object", "secret,id=s,file=first", "--image-opts",
        "driver=qcow2,file.filename=secret,encrypt.key-secret=s", "driver=qcow2,file.filename=source"});
  convert({"-O", "qcow2", "-o", "encrypt.format=luks,encrypt.iter-time=10", "--key-file", "first", "--target-key-file",
           "second", "secret", "other"});
  convert({"-O", "qcow2", "--key-file", "second", "other", "open"});
  must({"qemu-img", "compare", "-q", "source", "open"});
  convert({"-O", "qcow2", "-o", "encrypt.format=luks,encrypt.iter-time=10", "--key-file", "second", "other", "same"});
  must({"qemu-img", "compare", "-q", "--object", "secret,id=s,file=second", "--image-opts",
        "driver=qcow2,file.filename=same,encrypt.key-secret=s", "driver=qcow2,file.filename=source"});
}

TEST_F(Convert, ReplacesAFileOnlyWhenAllIsThere) {
  make_source("source");
  must({"sh", "-c", "echo something of value > target; chmod 600 target"});
  const std::string before = sum_of("target") + names();
  for (const Words& arguments :
       {Words{"convert", "-O", "qcow2", "absent", "target"}, Words{"convert", "-O", "vhd", "source", "target"},
        Words{"convert", "-O", "qcow2", "-o", "cluster_size=3", "source", "target"},
        Words{"convert", "-O", "qcow2", "-o", "size=1M", "source", "target"},
        Words{"convert", "-O", "raw", "source", "source"}}) {
    const Finished refused = flatimg(arguments);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_EQ(refused.output.find('\n'), refused.output.size() - 1) << refused.output;
  }
  EXPECT_EQ(sum_of("target") + names(), before);
  make_source("good");
  convert({"-O", "raw", "good", "target"});
  must({"qemu-img", "compare", "-q", "-F", "raw", "good", "target"});
  EXPECT_EQ(in_directory({"stat", "-c", "%a", "target"}).output, "600\n");
}

TEST_F(Convert, LeavesNothingWhereDataCannotBeRead) {
  must({"sh", "-c", "yes flatimg | head -c 1M > raw; qemu-img convert -c -O qcow2 raw damaged"});
  must({"sh", "-c", "printf '\\377\\377\\377\\377' | dd of=damaged bs=1 seek=327680 conv=notrunc status=none"});
  const std::string before = names();
  EXPECT_EQ(flatimg({"convert", "-O", "qcow2", "damaged", "target"}).exit_code, 1);
  EXPECT_EQ(names(), before);
}

TEST_F(Convert, LeavesNothingWhereAFileMayNotGrow) {
  make_source("source");
  const std::string before = names();
  const auto limited = in_directory({"sh", "-c", "ulimit -f 100; exec " FLATIMG_PROGRAM " convert -O qcow2 source target"});
  EXPECT_EQ(limited.exit_code, 1);
  EXPECT_NE(limited.output.find("File too large"), std::string::npos) << limited.output;
  EXPECT_EQ(names(), before);
}

TEST_F(Convert, DoesNotReplaceWhatSomebodyHasOpen) {
  make_source("source");
  make_source("target");
  const std::string before = sum_of("target");
  Conversation other({"qemu-io", directory_ / "target"});
  (void)other.read_until("qemu-io>");
  const Finished refused = flatimg({"convert", "-O", "qcow2", "source", "target"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("qemu-io"), std::string::npos) << refused.output;
  (void)other.finish();
  EXPECT_EQ(sum_of("target"), before);
}

TEST_F(Convert, LeavesNothingWhenASignalEndsIt) {
  must({"sh", "-c", "head -c 300M /dev/zero | tr '\\0' x > big"});
  const Finished ended = in_directory(
      {"sh", "-c",
       FLATIMG_PROGRAM
       " convert -O qcow2 big target & p=$!; until ls -A | grep -q part; do :; done; kill $p; wait $p; echo ended $?"});
  EXPECT_NE(ended.output.find("ended 143"), std::string::npos) << ended.output;
  EXPECT_EQ(names(), "big\n");
}

TEST_F(Convert, ShowsHowFarItHasComeWhenAsked) {
  make_source("source");
  const Finished finished = flatimg({"convert", "-p", "-T", "3", "-O", "raw", "source", "target"});
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_NE(finished.output.find("(100.00/100%)"), std::string::npos) << finished.output;
  EXPECT_NE(finished.output.find("iB/s"), std::string::npos) << finished.output;
}

}  // namespace
}  // namespace flatimg::test
