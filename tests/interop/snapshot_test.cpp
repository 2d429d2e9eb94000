// `flatimg snapshot` and `qemu-img snapshot` see each other's snapshots, and each applies and deletes what the other
// took.
#include "interop/both_programs.h"

namespace flatimg::test {
namespace {

const std::vector<std::string> kKinds{"compat=1.1",     "compat=0.10",     "cluster_size=512", "cluster_size=2M",
                                      "extended_l2=on", "refcount_bits=2", "refcount_bits=64", "lazy_refcounts=on"};

class Snapshot : public BothPrograms {
 protected:
  void create(const std::string& options, const std::string& size = "6M") {
    must({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, "image", size});
    io({"write -P 3 0 300k", "write -P 4 5M 1M", "write -z 1M 64k"});
  }
  void io(const Words& commands) {
    Words words{"qemu-io", "-f", "qcow2"};
    for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
    words.push_back("image");
    must(words);
  }
  void ours(Words arguments) {
    arguments.insert(arguments.begin(), {FLATIMG_PROGRAM, "snapshot"});
    must(arguments);
  }
  void theirs(Words arguments) {
    arguments.insert(arguments.begin(), {"qemu-img", "snapshot"});
    must(arguments);
  }
  void save(const std::string& as) { must({"qemu-img", "convert", "-O", "raw", "image", as}); }
  void expect_disk(const std::string& raw) {
    const Finished check = qemu_img({"check", "image"});
    EXPECT_EQ(check.exit_code, 0) << check.output;
    const Finished compared = qemu_img({"compare", "-f", "qcow2", "-F", "raw", "image", raw});
    EXPECT_EQ(compared.exit_code, 0) << compared.output;
    EXPECT_EQ(compared.output.find("size mismatch"), std::string::npos) << compared.output;
  }
  void expect_same_list() {
    EXPECT_EQ(flatimg({"snapshot", "-l", "image"}).output, qemu_img({"snapshot", "-l", "image"}).output);
  }
  void expect_refused(const Words& arguments, const std::string& part) {
    const std::string before = contents_of(directory_ / "image");
    const Finished refused = flatimg(arguments);
    EXPECT_EQ(refused.exit_code, 1) << refused.output;
    EXPECT_NE(refused.output.find(part), std::string::npos) << refused.output;
    EXPECT_EQ(contents_of(directory_ / "image"), before);
  }
};

// QEMU raises counters before it lowers any: the disk and two snapshots are too much for two bits.
TEST_F(Snapshot, OursAreAppliedAndDeletedByQemu) {
  for (std::string kind : kKinds) {
    if (kind == "refcount_bits=2") kind = "refcount_bits=4";
    SCOPED_TRACE(kind);
    create(kind);
    save("first.raw");
    ours({"-c", "first", "image"});
    expect_disk("first.raw");
    io({"write -P 9 100k 3M", "discard 5M 512k"});
    save("second.raw");
    ours({"-c", "second", "image"});
    expect_disk("second.raw");
    expect_same_list();
    theirs({"-a", "first", "image"});
    expect_disk("first.raw");
    theirs({"-a", "second", "image"});
    theirs({"-d", "first", "image"});
    expect_disk("second.raw");
  }
}

TEST_F(Snapshot, ThoseOfQemuAreAppliedAndDeletedByUs) {
  for (const std::string& kind : kKinds) {
    SCOPED_TRACE(kind);
    create(kind);
    save("first.raw");
    theirs({"-c", "first", "image"});
    io({"write -P 9 100k 3M", "discard 5M 512k"});
    save("second.raw");
    theirs({"-c", "second", "image"});
    expect_same_list();
    ours({"-a", "first", "image"});
    expect_disk("first.raw");
    io({"write -P 7 0 64k"});
    ours({"-a", "2", "image"});
    expect_disk("second.raw");
    ours({"-d", "first", "image"});
    expect_disk("second.raw");
    ours({"-d", "2", "image"});
    expect_disk("second.raw");
    EXPECT_EQ(flatimg({"snapshot", "-l", "image"}).output, "");
    io({"write -P 5 0 6M"});
    EXPECT_EQ(qemu_img({"check", "-q", "image"}).exit_code, 0);
  }
}

TEST_F(Snapshot, CompressedClustersAreShared) {
  for (const std::string options : {"compat=1.1", "cluster_size=4k,compression_type=zstd"}) {
    create("compat=1.1");
    must({"qemu-img", "convert", "-c", "-O", "qcow2", "-o", options, "image", "packed"});
    must({"mv", "packed", "image"});
    save("first.raw");
    ours({"-c", "first", "image"});
    io({"write -P 8 100k 1M"});
    save("second.raw");
    ours({"-c", "second", "image"});
    ours({"-a", "first", "image"});
    expect_disk("first.raw");
    ours({"-d", "first", "image"});
    ours({"-a", "second", "image"});
    expect_disk("second.raw");
    ours({"-d", "second", "image"});
    expect_disk("second.raw");
  }
}

TEST_F(Snapshot, ASizeIsPartOfIt) {
  create("cluster_size=4k");
  save("small.raw");
  ours({"-c", "small", "image"});
  must({FLATIMG_PROGRAM, "resize", "-q", "image", "40M"});
  io({"write -P 6 39M 1M"});
  save("large.raw");
  ours({"-c", "large", "image"});
  ours({"-a", "small", "image"});
  expect_disk("small.raw");
  ours({"-a", "large", "image"});
  expect_disk("large.raw");
  must({FLATIMG_PROGRAM, "resize", "-q", "--shrink", "image", "1M"});
  theirs({"-a", "large", "image"});
  expect_disk("large.raw");
}

TEST_F(Snapshot, OverlaysKeepTheirBackingFile) {
  create("compat=1.1");
  must({"mv", "image", "base"});
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "image"});
  io({"write -P 1 200k 200k"});
  save("first.raw");
  ours({"-c", "first", "image"});
  io({"write -P 2 0 6M"});
  ours({"-a", "first", "image"});
  expect_disk("first.raw");
}

TEST_F(Snapshot, TheListIsAlsoThereAsJson) {
  create("compat=1.1");
  ours({"-c", "one", "image"});
  const auto listed = nlohmann::json::parse(flatimg({"snapshot", "-l", "--output=json", "image"}).output);
  EXPECT_EQ(listed, json_in(qemu_img({"info", "--output=json", "image"}).output)["snapshots"]);
}

TEST_F(Snapshot, WhatCannotBeIsRefusedAndChangesNothing) {
  create("compat=1.1");
  theirs({"-c", "one", "image"});
  expect_refused({"snapshot", "-c", "", "image"}, "name");
  expect_refused({"snapshot", "-c", std::string(256, 'n'), "image"}, "name");
  expect_refused({"snapshot", "-a", "absent", "image"}, "flatimg snapshot -l");
  expect_refused({"snapshot", "-d", "absent", "image"}, "flatimg snapshot -l");
  expect_refused({"snapshot", "image"}, "snapshot");
  expect_refused({"snapshot", "-l", "-c", "two", "image"}, "snapshot");
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=data", "image", "1M"});
  expect_refused({"snapshot", "-c", "one", "image"}, "external data file");
  must({"qemu-img", "create", "-q", "-f", "raw", "image", "1M"});
  expect_refused({"snapshot", "-f", "raw", "-c", "one", "image"}, "no snapshots");
}

TEST_F(Snapshot, NarrowCountersRefuseWhatTheyCannotCount) {
  create("refcount_bits=1");
  save("before.raw");
  const Finished refused = flatimg({"snapshot", "-c", "one", "image"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("refcount"), std::string::npos) << refused.output;
  expect_disk("before.raw");
  EXPECT_EQ(flatimg({"snapshot", "-l", "image"}).output, "");
  create("refcount_bits=2");
  for (const std::string name : {"one", "two"}) ours({"-c", name, "image"});
  save("before.raw");
  EXPECT_EQ(flatimg({"snapshot", "-c", "three", "image"}).exit_code, 1);
  expect_disk("before.raw");
}

TEST_F(Snapshot, TheStateOfAMachineIsKept) {
  create("cluster_size=4k");
  // The L1 table with an entry behind the disk, as after savevm.
  must({"qemu-io", "-f", "qcow2", "-c", "write -P 6 0 64k", "image"});
  theirs({"-c", "one", "image"});
  ours({"-c", "two", "image"});
  ours({"-d", "one", "image"});
  save("now.raw");
  ours({"-a", "two", "image"});
  expect_disk("now.raw");
}

}  // namespace
}  // namespace flatimg::test
