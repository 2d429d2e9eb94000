// qcow images (version 1) between QEMU and flatimg: what the one made and wrote the other reads; info and map agree.
#include <algorithm>
#include <filesystem>

#include "interop/both_programs.h"
#include "support/matchers.h"

namespace flatimg::test {
namespace {

class QemuQcow1 : public BothPrograms {
 protected:
  void SetUp() override {
    BothPrograms::SetUp();
    std::string content(3u << 20, '\0');
    const auto random = noise(1u << 20, 1);
    std::memcpy(content.data() + 100000, random.data(), random.size());
    std::fill_n(content.begin() + (2 << 20), 400000, 'x');
    directory_.write("start.raw", content);
    directory_.write("key", "abc");
  }
  void expect_same_disk(const std::string& image, const std::string& raw) const {
    const Finished compared = flatimg({"compare", image, raw});
    EXPECT_EQ(compared.exit_code, 0) << compared.output;
  }
  void expect_same_bytes(const std::string& a, const std::string& b) const {
    EXPECT_TRUE(contents_of(directory_ / a) == contents_of(directory_ / b));
  }
};

TEST_F(QemuQcow1, ReadsWhatQemuConverts) {
  must({"qemu-img", "convert", "-f", "raw", "-O", "qcow", "start.raw", "plain"});
  // At the end of a compressed qcow, QEMU 7.2 asks its driver for what that refuses: all is written, and the exit is 1.
  (void)qemu_img({"convert", "-c", "-f", "raw", "-O", "qcow", "start.raw", "compressed"});
  for (const std::string image : {"plain", "compressed"}) {
    expect_same_disk(image, "start.raw");
    expect_same_info(image);
    expect_same_map(image);
    const Finished checked = flatimg({"check", "--data", image});
    EXPECT_EQ(checked.exit_code, 0) << checked.output;
  }
}

TEST_F(QemuQcow1, ReadsWhatQemuEncrypts) {
  must({"qemu-img", "convert", "--object", "secret,id=s,file=key", "-f", "raw", "-O", "qcow", "-o",
        "encrypt.format=aes,encrypt.key-secret=s", "start.raw", "image"});
  const Finished compared = flatimg({"compare", "--key-file", "key", "image", "start.raw"});
  EXPECT_EQ(compared.exit_code, 0) << compared.output;
  expect_same_info("image");
}

TEST_F(QemuQcow1, ReadsChainsAsQemuDoes) {
  must({"qemu-img", "create", "-q", "-f", "qcow", "-b", "start.raw", "-F", "raw", "one"});
  must({"qemu-io", "-f", "qcow", "-c", "write -P 7 1000 5000", "-c", "write -P 8 2500000 100000", "one"});
  must({"qemu-img", "create", "-q", "-f", "qcow", "-b", "one", "-F", "qcow", "two", "4M"});
  must({"qemu-io", "-f", "qcow", "-c", "write -P 9 3000 5000", "two"});
  must({"qemu-img", "convert", "-f", "qcow", "-O", "raw", "two", "two.raw"});
  expect_same_disk("two", "two.raw");
  expect_same_info("two");
  expect_same_map("two");
  const Finished ours = flatimg({"info", "--output=json", "--backing-chain", "two"});
  EXPECT_EQ(std::ranges::count(ours.output, '{'), 3) << ours.output;
}

TEST_F(QemuQcow1, CreatesByteForByteWhatQemuCreates) {
  const auto both = [&](const Words& arguments) {
    std::filesystem::remove(directory_ / "image");
    Words theirs{"qemu-img", "create", "-q", "-f", "qcow"};
    Words ours{FLATIMG_PROGRAM, "create", "-q", "-f", "qcow"};
    theirs.insert(theirs.end(), arguments.begin(), arguments.end());
    ours.insert(ours.end(), arguments.begin(), arguments.end());
    must(theirs);
    std::filesystem::rename(directory_ / "image", directory_ / "theirs");
    must(ours);
    expect_same_bytes("image", "theirs");
  };
  both({"image", "8M"});
  both({"image", "300G"});
  both({"-o", "size=1000", "image"});
  both({"-b", "start.raw", "-F", "raw", "image"});
  both({"-b", "start.raw", "-F", "raw", "image", "7M"});
}

TEST_F(QemuQcow1, CreatesEncryptedImagesThatQemuReadsAndWrites) {
  must({FLATIMG_PROGRAM, "create", "-q", "-f", "qcow", "-o", "encrypt.format=aes", "--key-file", "key", "image", "3M"});
  must({"qemu-io", "--object", "secret,id=s,file=key", "--image-opts",
        "driver=qcow,encrypt.key-secret=s,file.filename=image", "-c", "write -P 7 5000 70000"});
  std::string expected(3u << 20, '\0');
  std::fill_n(expected.begin() + 5000, 70000, '\7');
  directory_.write("expected.raw", expected);
  const Finished compared = flatimg({"compare", "--key-file", "key", "image", "expected.raw"});
  EXPECT_EQ(compared.exit_code, 0) << compared.output;
}

TEST_F(QemuQcow1, QemuReadsImagesWithXensExtension) {
  for (const std::string xen : {"sparse", "preallocated"}) {
    must({FLATIMG_PROGRAM, "create", "-q", "-f", "qcow", "-o", "xen=" + xen, "image", "5M"});
    const Finished info = qemu_img({"info", "image"});
    EXPECT_NE(info.output.find("file format: qcow\nvirtual size: 5 MiB"), std::string::npos) << info.output;
    const Finished compared = qemu_img({"compare", "-f", "qcow", "-F", "raw", "image", "start.raw"});
    EXPECT_EQ(compared.exit_code, 1) << compared.output;
    EXPECT_EQ(flatimg({"check", "image"}).exit_code, 0);
    std::filesystem::remove(directory_ / "image");
  }
}

TEST_F(QemuQcow1, AFormatThatCannotBeRecordedHasToBeTrue) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", "1M"});
  const Finished refused = flatimg({"create", "-f", "qcow", "-b", "base.qcow2", "-F", "raw", "image"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("looks like qcow2"), std::string::npos) << refused.output;
  EXPECT_FALSE(std::filesystem::exists(directory_ / "image"));
}

TEST_F(QemuQcow1, CommitsIntoAnImageWhoseFormatIsRecorded) {
  must({"qemu-img", "convert", "-f", "raw", "-O", "qcow", "start.raw", "base"});
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow", "overlay"});
  must({"qemu-io", "-f", "qcow2", "-c", "write -P 7 1000 700000", "-c", "write -z 1000000 65536", "overlay"});
  must({"qemu-img", "convert", "-O", "raw", "overlay", "expected.raw"});
  must({FLATIMG_PROGRAM, "commit", "-q", "overlay"});
  const Finished compared = qemu_img({"compare", "-f", "qcow", "-F", "raw", "base", "expected.raw"});
  EXPECT_EQ(compared.exit_code, 0) << compared.output;
  EXPECT_EQ(flatimg({"check", "base"}).exit_code, 0);
}

TEST_F(QemuQcow1, WhatTheFormatCannotSayIsRefusedAndChangesNothing) {
  must({"qemu-img", "create", "-q", "-f", "qcow", "-b", "start.raw", "-F", "raw", "image"});
  const std::string before = contents_of(directory_ / "image");
  const auto refused = [&](const Words& arguments, const std::string& why) {
    const Finished finished = flatimg(arguments);
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_NE(finished.output.find(why), std::string::npos) << finished.output;
    EXPECT_TRUE(contents_of(directory_ / "image") == before);
  };
  refused({"rebase", "-b", "key", "-F", "raw", "image"}, "cannot be changed: use qcow2");
  refused({"rebase", "-u", "-b", "key", "-F", "raw", "image"}, "cannot be changed: use qcow2");
  refused({"commit", "image"}, "does not record the format");
  refused({"resize", "image", "+1M"}, "cannot be resized");
  refused({"snapshot", "-c", "one", "image"}, "no snapshots");
  refused({"check", "-r", "all", "image"}, "nothing that could be repaired");
}

}  // namespace
}  // namespace flatimg::test
