// Images made by `flatimg create` are those that `qemu-img create` makes with the same options.
#include "interop/both_programs.h"

namespace flatimg::test {
namespace {

class QemuCreate : public BothPrograms {
 protected:
  // What qemu-img says of an image, less what differs by name or place.
  [[nodiscard]] nlohmann::json their_info(const std::string& image) const {
    nlohmann::json info = json_in(qemu_img({"info", "--output=json", image}).output);
    for (const char* field : {"filename", "actual-size"}) info.erase(field);
    return info;
  }
  // Header, extensions and backing name, less the place of the L1 table, which follows all refcount blocks in our
  // images.
  [[nodiscard]] std::string header_bytes(const std::string& image) const {
    std::string bytes = contents_of(directory_ / image).substr(0, 512);
    return bytes.replace(40, 8, 8, '\0');
  }

  void expect_equal_images(const std::string& options, const std::string& size, const Words& more = {}) {
    SCOPED_TRACE(options + " " + size);
    Words ours{"create", "-q", "-f", "qcow2", "-o", options};
    ours.insert(ours.end(), more.begin(), more.end());
    Words theirs = ours;
    ours.insert(ours.end(), {"ours.qcow2", size});
    theirs.insert(theirs.end(), {"theirs.qcow2", size});
    if (size.empty()) {
      ours.pop_back();
      theirs.pop_back();
    }
    const Finished made = flatimg(ours);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    const Finished checked = qemu_img({"check", "ours.qcow2"});
    EXPECT_EQ(checked.exit_code, 0) << checked.output;
    expect_same_check("ours.qcow2");
    expect_same_info("ours.qcow2");
    expect_same_map("ours.qcow2");
    const nlohmann::json our_info = their_info("ours.qcow2");
    ASSERT_EQ(qemu_img(theirs).exit_code, 0);
    EXPECT_EQ(our_info, their_info("theirs.qcow2"));
    const bool one_way_only = options.find("preallocation") == std::string::npos &&
                              options.find("data_file_raw") == std::string::npos &&
                              !our_info.contains("backing-filename");  // ours records facts of it
    if (one_way_only) {
      EXPECT_EQ(header_bytes("ours.qcow2"), header_bytes("theirs.qcow2"));
    }
    if (options.find("data_file") == std::string::npos) {
      EXPECT_EQ(qemu_img({"compare", "ours.qcow2", "theirs.qcow2"}).exit_code, 0);
    }
  }
};

TEST_F(QemuCreate, MakesTheSameImageWithEveryOption) {
  for (const char* options : {"compat=1.1",
                              "compat=v3",
                              "compat=0.10",
                              "compat=v2",
                              "cluster_size=512",
                              "cluster_size=4k",
                              "cluster_size=8192",
                              "cluster_size=2M",
                              "lazy_refcounts=on",
                              "refcount_bits=1",
                              "refcount_bits=2",
                              "refcount_bits=4",
                              "refcount_bits=8",
                              "refcount_bits=32",
                              "refcount_bits=64",
                              "extended_l2=on",
                              "extended_l2=on,cluster_size=16k",
                              "extended_l2=on,cluster_size=2M",
                              "compression_type=zstd",
                              "compression_type=zlib",
                              "cluster_size=512,refcount_bits=64",
                              "cluster_size=2M,refcount_bits=1,lazy_refcounts=on",
                              "compat=0.10,cluster_size=512",
                              "data_file=d.raw",
                              "data_file=d.raw,data_file_raw=on",
                              "data_file=d.raw,extended_l2=on,cluster_size=128k,compression_type=zstd"}) {
    for (const char* size : {"10M", "100000512", "5G"}) expect_equal_images(options, size);
  }
}

TEST_F(QemuCreate, MakesTheSameImageWithPreallocation) {
  for (const std::string how : {"metadata", "falloc", "full"}) {
    for (const char* options : {"compat=1.1", "compat=0.10", "cluster_size=4k", "cluster_size=2M", "refcount_bits=1",
                                "extended_l2=on", "data_file=d.raw"}) {
      expect_equal_images(std::string(options) + ",preallocation=" + how, "9000448");
    }
  }
}

TEST_F(QemuCreate, TakesEverySize) {
  for (const char* size : {"0", "1", "512", "65536", "65537", "1M", "3T", "100T"})
    expect_equal_images("compat=1.1", size);
}

TEST_F(QemuCreate, RecordsTheBackingFileAndTakesItsSize) {
  must({"qemu-img", "create", "-q", "-f", "raw", "base.raw", "3000832"});
  must({"qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", "7M"});
  expect_equal_images("compat=1.1", "", {"-b", "base.raw", "-F", "raw"});
  expect_equal_images("compat=0.10", "", {"-b", "base.qcow2", "-F", "qcow2"});
  expect_equal_images("cluster_size=512", "20M", {"-b", "base.qcow2", "-F", "qcow2"});
  expect_equal_images("cluster_size=1M,extended_l2=on,preallocation=metadata", "2M", {"-b", "base.raw", "-F", "raw"});
  expect_equal_images("backing_file=base.raw,backing_fmt=raw", "");
}

TEST_F(QemuCreate, RefusesWhatQemuImgRefuses) {
  for (const char* options : {"cluster_size=1000",
                              "cluster_size=4M",
                              "cluster_size=256",
                              "extended_l2=on,compat=0.10",
                              "extended_l2=on,cluster_size=8k",
                              "lazy_refcounts=on,compat=0.10",
                              "refcount_bits=3",
                              "refcount_bits=128",
                              "refcount_bits=0",
                              "refcount_bits=8,compat=0.10",
                              "data_file_raw=on",
                              "data_file=d,compat=v2",
                              "compression_type=zstd,compat=0.10",
                              "compression_type=foo",
                              "compat=2",
                              "bogus=1",
                              "preallocation=huge",
                              "lazy_refcounts=maybe",
                              "cluster_size=abc",
                              "backing_fmt=raw"}) {
    SCOPED_TRACE(options);
    EXPECT_EQ(qemu_img({"create", "-q", "-f", "qcow2", "-o", options, "no.qcow2", "1M"}).exit_code, 1);
    const Finished ours = flatimg({"create", "-f", "qcow2", "-o", options, "no.qcow2", "1M"});
    EXPECT_EQ(ours.exit_code, 1);
    EXPECT_TRUE(ours.output.starts_with("flatimg: no.qcow2: ")) << ours.output;
    EXPECT_FALSE(std::filesystem::exists(directory_ / "no.qcow2"));
  }
}

TEST_F(QemuCreate, RefusesAnImageThatSomebodyHasOpen) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "busy.qcow2", "1M"});
  const std::string before = contents_of(directory_ / "busy.qcow2");
  if (!has_program("qemu-io")) GTEST_SKIP() << "qemu-io is not installed";
  Conversation holder({"qemu-io", "-f", "qcow2", directory_ / "busy.qcow2"});
  (void)holder.read_until("qemu-io>");
  const Finished ours = flatimg({"create", "-f", "qcow2", "busy.qcow2", "2M"});
  EXPECT_EQ(ours.exit_code, 1) << ours.output;
  EXPECT_EQ(contents_of(directory_ / "busy.qcow2"), before);
  holder.say("quit");
  (void)holder.finish();
}

TEST_F(QemuCreate, LeavesNothingBehindWhenTheBackingFileIsMissing) {
  const Finished ours = flatimg({"create", "-f", "qcow2", "-b", "missing.raw", "-F", "raw", "no.qcow2"});
  EXPECT_EQ(ours.exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "no.qcow2"));
}

TEST_F(QemuCreate, NeverMakesAnImageOverItsOwnBackingFile) {
  must({"qemu-img", "create", "-q", "-f", "raw", "base.raw", "1M"});
  EXPECT_EQ(flatimg({"create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "./base.raw"}).exit_code, 1);
  EXPECT_EQ(std::filesystem::file_size(directory_ / "base.raw"), 1u << 20);
}

TEST_F(QemuCreate, MakesRawImagesToo) {
  for (const char* options : {"preallocation=off", "preallocation=falloc", "preallocation=full"}) {
    ASSERT_EQ(flatimg({"create", "-f", "raw", "-o", options, "disk.raw", "1000"}).exit_code, 0);
    EXPECT_EQ(std::filesystem::file_size(directory_ / "disk.raw"), 1024u);
    expect_same_info("disk.raw");
  }
}

}  // namespace
}  // namespace flatimg::test
