// `flatimg info`, `map` and `check` tell of images made and filled by QEMU's tools what qemu-img tells.
#include <fstream>

#include "interop/both_programs.h"

namespace flatimg::test {
namespace {

class QemuInfo : public BothPrograms {
 protected:
  void create(const std::string& options, const std::string& image, const Words& more = {}) {
    Words command{"qemu-img", "create", "-q", "-f", "qcow2", "-o", options};
    command.insert(command.end(), more.begin(), more.end());
    command.push_back(image);
    if (more.empty()) command.push_back("64M");
    must(command);
  }
  void io(const std::string& image, const Words& commands) {
    Words words{"qemu-io", "-f", "qcow2"};
    for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
    words.push_back(image);
    must(words);
  }
  void expect_same(const std::string& image) {
    SCOPED_TRACE(image);
    expect_same_info(image);
    expect_same_map(image);
    expect_same_check(image);
  }
};

const std::vector<std::string> kSomeOfEverything{"write -P 1 0 200k",       "write -P 2 5M 1M",   "write -z 1M 192k",
                                                 "write -P 3 20M 64k",      "write -z -u 5M 64k", "discard 5376k 128k",
                                                 "write -P 4 67100672 8192"};

TEST_F(QemuInfo, AgreesOnImagesOfEveryKind) {
  int number = 0;
  for (const char* options :
       {"compat=1.1", "compat=0.10", "cluster_size=4k", "cluster_size=2M", "refcount_bits=1", "refcount_bits=64",
        "extended_l2=on", "lazy_refcounts=on", "preallocation=metadata", "preallocation=falloc", "data_file=d.raw",
        "data_file=d.raw,data_file_raw=on", "compression_type=zstd"}) {
    SCOPED_TRACE(options);
    const std::string image = "image" + std::to_string(number++);
    create(options, image);
    expect_same(image);
    io(image, kSomeOfEverything);
    expect_same(image);
  }
}

TEST_F(QemuInfo, AgreesOnCompressedImages) {
  create("compat=1.1", "plain");
  io("plain", kSomeOfEverything);
  for (const char* options : {"compat=1.1", "cluster_size=512", "compression_type=zstd", "cluster_size=2M"}) {
    must({"qemu-img", "convert", "-c", "-O", "qcow2", "-o", options, "plain", "packed"});
    expect_same("packed");
  }
}

TEST_F(QemuInfo, AgreesOnChains) {
  must({"qemu-img", "create", "-q", "-f", "raw", "base.raw", "30M"});
  must({"qemu-io", "-f", "raw", "-c", "write -P 7 1M 3M", "-c", "write -P 8 29M 1M", "base.raw"});
  create("compat=1.1", "middle", {"-b", "base.raw", "-F", "raw"});
  io("middle", {"write -P 1 2M 100k", "write -z 3M 128k"});
  create("cluster_size=4k", "top", {"-b", "middle", "-F", "qcow2"});
  must({"qemu-img", "resize", "-q", "top", "50M"});
  io("top", {"write -P 1 45M 100k", "write -P 9 3M 8k", "discard 2M 64k"});
  expect_same("middle");
  expect_same("top");
  const Words chain{"info", "--output=json", "--backing-chain", "top"};
  EXPECT_EQ(nlohmann::json::parse(flatimg(chain).output), nlohmann::json::parse(qemu_img(chain).output));
}

TEST_F(QemuInfo, AgreesOnSnapshotsAndBitmaps) {
  create("compat=1.1", "image");
  io("image", kSomeOfEverything);
  must({"qemu-img", "snapshot", "-c", "first", "image"});
  io("image", {"write -P 5 0 70k", "write -P 6 30M 1M"});
  must({"qemu-img", "snapshot", "-c", "second one", "image"});
  must({"qemu-img", "bitmap", "--add", "image", "marks"});
  must({"qemu-img", "bitmap", "--add", "--disable", "-g", "128k", "image", "more"});
  expect_same("image");
}

TEST_F(QemuInfo, AgreesOnEncryptedImages) {
  must_make_luks({"qemu-img", "create", "-q", "--object", "secret,id=s,data=abc", "-f", "qcow2", "-o",
                  "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", "luks", "1M"});
  expect_same_info("luks");
  EXPECT_EQ(flatimg({"check", "luks"}).exit_code, 0);  // theirs asks for the key first
}

TEST_F(QemuInfo, AgreesOnRawImages) {
  must({"qemu-img", "create", "-q", "-f", "raw", "disk.raw", "30M"});
  must({"qemu-io", "-f", "raw", "-c", "write -P 7 1M 3M", "-c", "write -P 8 29M 64k", "disk.raw"});
  expect_same_info("disk.raw");
  EXPECT_EQ(flatimg({"map", "--output=json", "disk.raw"}).output,
            qemu_img({"map", "-f", "raw", "--output=json", "disk.raw"}).output);
}

TEST_F(QemuInfo, NeverOpensWhatAnImageNames) {
  create("compat=1.1", "base");
  create("compat=1.1", "top", {"-b", "base", "-F", "qcow2"});
  std::filesystem::remove(directory_ / "base");
  EXPECT_EQ(flatimg({"info", "top"}).exit_code, 0);
  EXPECT_EQ(flatimg({"check", "top"}).exit_code, 0);
  EXPECT_EQ(flatimg({"info", "--backing-chain", "top"}).exit_code, 1);
}

// A cell for each part of the disk, well-formed, whatever the disk is like.
TEST_F(QemuInfo, DrawsAPictureAsSvg) {
  create("compat=1.1", "image");
  io("image", kSomeOfEverything);
  must({"qemu-img", "create", "-q", "-f", "raw", "empty", "0"});
  for (const char* name : {"image", "empty"}) {
    const Finished map = flatimg({"map", "--output=svg", name});
    EXPECT_EQ(map.exit_code, 0);
    std::ofstream(directory_ / "map.svg") << map.output;
    must({"xmllint", "--noout", "map.svg"});
  }
  EXPECT_EQ(flatimg({"map", "--output=pdf", "image"}).exit_code, 1);
  const std::string svg = flatimg({"map", "--output=svg", "image"}).output;
  for (const char* kind : {">0x0: data<", ": nothing<", ": zeroes<"})
    EXPECT_NE(svg.find(kind), std::string::npos) << kind;
}

TEST_F(QemuInfo, DrawsAPictureForPeople) {
  create("compat=1.1", "image");
  io("image", kSomeOfEverything);
  const Finished map = flatimg({"map", "image"});
  EXPECT_EQ(map.exit_code, 0);
  EXPECT_NE(map.output.find('#'), std::string::npos) << map.output;
}

}  // namespace
}  // namespace flatimg::test
