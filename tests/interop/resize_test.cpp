// `flatimg resize` and `qemu-img resize` lead to the same disk, and each goes on where the other stopped.
#include "interop/both_programs.h"

namespace flatimg::test {
namespace {

class Resize : public BothPrograms {
 protected:
  void create(const std::string& options, const std::string& image = "image") {
    must({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, image, "10M"});
    must({"qemu-io", "-f", "qcow2", "-c", "write -P 3 0 300k", "-c", "write -P 4 9M 1M", image});
  }
  void expect_sound(const std::string& image) {
    const Finished check = qemu_img({"check", image});
    EXPECT_EQ(check.exit_code, 0) << check.output;
  }
  void expect_same(const std::string& ours, const std::string& theirs, const std::string& their_format) {
    expect_sound(ours);
    const Finished compared = qemu_img({"compare", "-f", "qcow2", "-F", their_format, ours, theirs});
    EXPECT_EQ(compared.exit_code, 0) << compared.output;
    EXPECT_EQ(compared.output.find("size mismatch"), std::string::npos) << compared.output;
  }
  std::uint64_t size_of(const std::string& image) {
    return json_in(qemu_img({"info", "--output=json", image}).output)["virtual-size"].get<std::uint64_t>();
  }
};

TEST_F(Resize, AgreesWithQemuOnAnyKindOfImage) {
  int number = 0;
  for (const std::string options :
       {"compat=1.1", "compat=0.10", "cluster_size=512", "cluster_size=2M", "extended_l2=on", "refcount_bits=1",
        "refcount_bits=64", "lazy_refcounts=on", "data_file=d1", "data_file=d2,data_file_raw=on"}) {
    SCOPED_TRACE(options);
    const std::string image = "image" + std::to_string(number++);
    create(options, image);
    must({"qemu-img", "convert", "-O", "raw", image, "plain"});
    for (const std::string size : {"30000128", "+5120", "9500160", "512", "60M"}) {
      SCOPED_TRACE(size);
      const Finished resized = flatimg({"resize", "--shrink", image, size});
      EXPECT_EQ(resized.exit_code, 0) << resized.output;
      must({"qemu-img", "resize", "-q", "-f", "raw", "--shrink", "plain", size});
      expect_same(image, "plain", "raw");
    }
    must({"qemu-img", "resize", "-q", "--shrink", image, "5M"});
    must({FLATIMG_PROGRAM, "resize", "-q", image, "+1M"});
    EXPECT_EQ(size_of(image), 6u << 20);
    expect_sound(image);
  }
}

TEST_F(Resize, AnExternalDataFileIsResizedAsWell) {
  create("data_file=data");
  must({FLATIMG_PROGRAM, "resize", "-q", "image", "20M"});
  EXPECT_EQ(std::filesystem::file_size(directory_ / "data"), 20u << 20);
  must({FLATIMG_PROGRAM, "resize", "-q", "--shrink", "image", "4M"});
  EXPECT_EQ(std::filesystem::file_size(directory_ / "data"), 4u << 20);
}

TEST_F(Resize, NothingIsCutOffWithoutTheOption) {
  create("compat=1.1");
  const std::string before = contents_of(directory_ / "image");
  const Finished refused = flatimg({"resize", "image", "1M"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("--shrink"), std::string::npos) << refused.output;
  EXPECT_EQ(contents_of(directory_ / "image"), before);
}

TEST_F(Resize, WhatWasCutOffIsZeroWhenTheDiskGrowsAgain) {
  for (const std::string options : {"compat=1.1", "compat=0.10", "extended_l2=on", "cluster_size=2M"}) {
    SCOPED_TRACE(options);
    create(options);
    must({FLATIMG_PROGRAM, "resize", "-q", "--shrink", "image", "9999872"});
    must({FLATIMG_PROGRAM, "resize", "-q", "image", "12M"});
    must({"qemu-io", "-r", "-f", "qcow2", "-c", "read -P 4 9M 562688", "-c", "read -P 0 9999872 2583040", "image"});
    expect_sound("image");
  }
}

TEST_F(Resize, ALongerBackingFileStaysHidden) {
  must({"qemu-img", "create", "-q", "-f", "raw", "base", "3000320"});
  must({"qemu-io", "-f", "raw", "-c", "write -P 7 0 3000320", "base"});
  for (const std::string options : {"compat=1.1", "compat=0.10", "extended_l2=on", "cluster_size=4k"}) {
    SCOPED_TRACE(options);
    must({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, "-b", "base", "-F", "raw", "top", "1000448"});
    must({FLATIMG_PROGRAM, "resize", "-q", "top", "2000384"});
    must({"qemu-io", "-r", "-f", "qcow2", "-c", "read -P 7 0 1000448", "-c", "read -P 0 1000448 999936", "top"});
    must({FLATIMG_PROGRAM, "resize", "-q", "top", "1G"});
    must({"qemu-io", "-r", "-f", "qcow2", "-c", "read -P 0 1000448 4M", "top"});
    expect_sound("top");
  }
}

TEST_F(Resize, SnapshotsKeepTheirSizeAndBytes) {
  create("compat=1.1,cluster_size=4k");
  must({"qemu-img", "snapshot", "-c", "large", "image"});
  must({"qemu-img", "convert", "-O", "raw", "image", "large.raw"});
  must({FLATIMG_PROGRAM, "resize", "-q", "--shrink", "image", "1M"});
  expect_sound("image");
  must({"qemu-io", "-f", "qcow2", "-c", "write -P 9 0 1M", "image"});
  must({FLATIMG_PROGRAM, "resize", "-q", "image", "300M"});
  expect_sound("image");
  must({"qemu-img", "snapshot", "-a", "large", "image"});
  expect_same("image", "large.raw", "raw");
}

TEST_F(Resize, VersionTwoWithSnapshotsIsRefused) {
  create("compat=0.10");
  must({"qemu-img", "snapshot", "-c", "one", "image"});
  const std::string before = contents_of(directory_ / "image");
  const Finished refused = flatimg({"resize", "image", "20M"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("snapshots"), std::string::npos) << refused.output;
  EXPECT_EQ(contents_of(directory_ / "image"), before);
}

TEST_F(Resize, LimitsAreCheckedFirst) {
  create("cluster_size=512");
  const std::string before = contents_of(directory_ / "image");
  for (const std::string size : {"129G", "1P", "9000000T", "20000000000000000000", "+9223372036854775807", "-11M"}) {
    const Finished refused = flatimg({"resize", "--shrink", "image", size});
    EXPECT_EQ(refused.exit_code, 1) << size << ": " << refused.output;
  }
  EXPECT_EQ(contents_of(directory_ / "image"), before);
  must({FLATIMG_PROGRAM, "resize", "-q", "image", "128G"});
  expect_sound("image");
}

TEST_F(Resize, ARawImageTakesTheExactSize) {
  must({"qemu-img", "create", "-q", "-f", "raw", "disk", "1M"});
  EXPECT_EQ(flatimg({"resize", "disk", "1000001"}).exit_code, 1) << "shrunk without leave";
  must({FLATIMG_PROGRAM, "resize", "-q", "--shrink", "disk", "1000001"});
  EXPECT_EQ(std::filesystem::file_size(directory_ / "disk"), 1000001u);
  must({FLATIMG_PROGRAM, "resize", "-q", "disk", "+1M"});
  EXPECT_EQ(std::filesystem::file_size(directory_ / "disk"), 2048577u);
}

TEST_F(Resize, AnImageInUseIsRefused) {
  create("compat=1.1");
  Conversation holder({"qemu-io", "-f", "qcow2", directory_ / "image"});
  holder.say("length\n");
  holder.read_until("10 MiB");
  EXPECT_EQ(flatimg({"resize", "image", "20M"}).exit_code, 1);
  holder.finish();
  EXPECT_EQ(flatimg({"resize", "image", "20M"}).exit_code, 0);
}

}  // namespace
}  // namespace flatimg::test
