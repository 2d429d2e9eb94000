// flatimg compose, and what the other commands say of composite disks. sgdisk and sfdisk judge the partition tables.
#include "interop/both_programs.h"

namespace flatimg::test {
namespace {

class Compose : public BothPrograms {
 protected:
  void SetUp() override {
    BothPrograms::SetUp();
    must({"qemu-img", "create", "-q", "-f", "qcow2", "root.qcow2", "6M"});
    must({"qemu-io", "-c", "write -P 7 1M 100k", "root.qcow2"});
    must({"bash", "-c", "head -c 8192 /dev/urandom > boot.raw; head -c 5000 /dev/urandom > odd.raw"});
  }
  // As flatimg should lay it out, made of its pieces.
  void make_expected() {
    must({"bash", "-c",
          "qemu-img convert -O raw root.qcow2 root.raw; head -c 3192 /dev/zero > fill;"
          "cat disk.header boot.raw root.raw odd.raw fill disk.footer > expected"});
  }
  void compose_disk() {
    const Finished made = flatimg({"compose", "--gpt", "-O", "disk", "boot:boot.raw:writable",
                                   "root:root.qcow2:writable:01234567-89ab-4def-8123-456789abcdef", "odd:odd.raw"});
    ASSERT_EQ(made.exit_code, 0) << made.output;
    EXPECT_EQ(made.output, "");
  }
  void expect_refused(const Words& arguments, const std::string& words) {
    const std::string before = in_directory({"ls", "-lA", "--time-style=+"}).output;
    const Finished finished = flatimg(arguments);
    EXPECT_EQ(finished.exit_code, 1) << finished.output;
    EXPECT_NE(finished.output.find(words), std::string::npos) << finished.output;
    EXPECT_EQ(finished.output.find('\n'), finished.output.size() - 1) << finished.output;
    EXPECT_EQ(in_directory({"ls", "-lA", "--time-style=+"}).output, before);
  }
};

TEST_F(Compose, MakesADiskOfImagesOfAnyFormatWithAPartitionTable) {
  compose_disk();
  make_expected();
  const Finished same = flatimg({"compare", "-F", "raw", "disk", "expected"});
  EXPECT_EQ(same.exit_code, 0) << same.output;
  EXPECT_EQ(in_directory({"stat", "-c", "%s", "disk.header", "disk.footer", "disk.filler"}).output,
            "20480\n20480\n4096\n");
}

TEST_F(Compose, MakesATableThatSgdiskAndSfdiskLike) {
  if (!has_program("sgdisk")) GTEST_SKIP() << "sgdisk is not installed";
  compose_disk();
  make_expected();
  const Finished verdict = in_directory({"sgdisk", "-v", "expected"});
  EXPECT_EQ(verdict.exit_code, 0);
  EXPECT_NE(verdict.output.find("No problems found"), std::string::npos) << verdict.output;
  const Finished root = in_directory({"sgdisk", "-i", "2", "expected"});
  EXPECT_NE(root.output.find("01234567-89AB-4DEF-8123-456789ABCDEF"), std::string::npos) << root.output;
  EXPECT_NE(root.output.find("Partition name: 'root'"), std::string::npos) << root.output;
  EXPECT_NE(root.output.find("0FC63DAF-8483-4772-8E79-3D69D8477DE4"), std::string::npos) << root.output;
  EXPECT_NE(root.output.find("First sector: 56 "), std::string::npos) << root.output;
  EXPECT_NE(root.output.find("Partition size: 12288 sectors"), std::string::npos) << root.output;
  const Finished listed = in_directory({"sfdisk", "--verify", "expected"});
  EXPECT_EQ(listed.exit_code, 0) << listed.output;
  EXPECT_NE(listed.output.find("No errors detected"), std::string::npos) << listed.output;
}

TEST_F(Compose, MakesADiskWithoutATable) {
  ASSERT_EQ(flatimg({"compose", "-O", "disk", "a:boot.raw", "b:root.qcow2:writable"}).output, "");
  must({"bash", "-c",
        "qemu-img convert -O raw root.qcow2 root.raw; cat boot.raw root.raw > expected; test ! -e disk.header"});
  const Finished same = flatimg({"compare", "-F", "raw", "disk", "expected"});
  EXPECT_EQ(same.exit_code, 0) << same.output;
}

TEST_F(Compose, RecordsNamesSoThatTheDiskCanMoveWithItsParts) {
  must({"bash", "-c", "mkdir -p one/sub; mv boot.raw one/sub; mv root.qcow2 one"});
  ASSERT_EQ(flatimg({"compose", "-O", "one/disk", "a:one/sub/boot.raw", "b:one/root.qcow2"}).output, "");
  must({"mv", "one", "two"});
  EXPECT_EQ(flatimg({"map", "two/disk"}).exit_code, 0);
  const Finished elsewhere = flatimg({"compose", "-O", "two/other", "a:odd.raw", "--gpt"});
  EXPECT_EQ(elsewhere.exit_code, 0);
  EXPECT_NE(elsewhere.output.find("allow-path"), std::string::npos) << elsewhere.output;
  EXPECT_EQ(flatimg({"map", "two/other"}).exit_code, 1);
  EXPECT_EQ(flatimg({"map", "--allow-path", ".", "two/other"}).exit_code, 0);
}

TEST_F(Compose, LeavesNothingBehindWhenItFails) {
  expect_refused({"compose", "-O", "disk", "a:missing"}, "missing");
  expect_refused({"compose", "-O", "disk", "--gpt", "a:boot.raw", "a:odd.raw"}, "the same label");
  expect_refused({"compose", "-O", "disk", "--gpt", "a:odd.raw:writable"}, "no multiple of 4096");
  expect_refused({"compose", "-O", "disk", "a:odd.raw"}, "--gpt");
  expect_refused({"compose", "-O", "disk", "--gpt", "a:boot.raw:writable", "b:boot.raw"}, "is named twice");
  expect_refused({"compose", "-O", "disk", "boot.raw"}, "LABEL:PATH");
  expect_refused({"compose", "-O", "boot.raw", "a:root.qcow2"}, "is not empty");
  must({"bash", "-c", "echo dear > disk.filler"});
  expect_refused({"compose", "-O", "disk", "--gpt", "a:boot.raw"}, "disk.filler: is not empty");
  expect_refused({"compose", "-O", "no/such/place", "a:boot.raw"}, "no/such/place");
  expect_refused({"compose", "-O", "disk\xff", "--gpt", "a:boot.raw"}, "not UTF-8");
}

TEST_F(Compose, TakesNamesWithColons) {
  must({"mv", "boot.raw", "x:y"});
  ASSERT_EQ(flatimg({"compose", "-O", "disk", "--gpt", "a:x:y:writable"}).output, "");
  const auto info = json_in(flatimg({"info", "--output=json", "disk"}).output);
  EXPECT_EQ(info["format-specific"]["data"]["parts"][1]["filename"], "x:y");
  EXPECT_EQ(info["format-specific"]["data"]["parts"][1]["writable"], true);
}

TEST_F(Compose, IsToldByInfoWithoutItsParts) {
  compose_disk();
  must({"rm", "boot.raw", "root.qcow2", "odd.raw", "disk.header"});
  const auto info = json_in(flatimg({"info", "--output=json", "disk"}).output);
  EXPECT_EQ(info["format"], "composite");
  EXPECT_EQ(info["virtual-size"], 20480 + 8192 + (6 << 20) + 8192 + 20480);
  EXPECT_EQ(info["format-specific"]["data"]["version"], 2);
  const auto parts = info["format-specific"]["data"]["parts"];
  ASSERT_EQ(parts.size(), 6u);
  EXPECT_EQ(parts[2]["filename"], "root.qcow2");
  EXPECT_EQ(parts[2]["offset"], 28672);
  EXPECT_EQ(parts[2]["length"], 6 << 20);
  EXPECT_EQ(parts[4]["filename"], "disk.filler");
  EXPECT_NE(flatimg({"info", "disk"}).output.find("filename: root.qcow2"), std::string::npos);
}

TEST_F(Compose, IsMappedThroughItsParts) {
  must({"bash", "-c", "truncate -s 1M hole.raw; printf x | dd of=hole.raw bs=1 seek=262144 conv=notrunc status=none"});
  ASSERT_EQ(flatimg({"compose", "-O", "disk", "a:boot.raw", "b:hole.raw"}).output, "");
  const auto map = nlohmann::json::parse(flatimg({"map", "--output=json", "disk"}).output);
  EXPECT_EQ(map[0]["start"], 0);
  EXPECT_EQ(map[0]["depth"], 0);
  bool hole = false;
  for (const auto& entry : map) {
    hole =
        hole || (entry["start"] == 8192 && entry["zero"] == true && entry["offset"] == 0 && entry["present"] == true);
  }
  EXPECT_TRUE(hole) << map.dump();
}

TEST_F(Compose, IsCheckedWithItsParts) {
  compose_disk();
  EXPECT_EQ(flatimg({"check", "disk"}).exit_code, 0) << flatimg({"check", "disk"}).output;
  must({"bash", "-c", "printf '\\0\\0' | dd of=root.qcow2 bs=1 seek=131072 conv=notrunc status=none"});  // a counter
  const Finished damaged = flatimg({"check", "disk"});
  EXPECT_EQ(damaged.exit_code, 2) << damaged.output;
  EXPECT_NE(damaged.output.find("root.qcow2: ERROR"), std::string::npos) << damaged.output;
  must({"truncate", "-s", "100", "odd.raw"});
  EXPECT_NE(flatimg({"check", "disk"}).output.find("odd.raw: has only 100 of the 5000 bytes"), std::string::npos);
  must({"rm", "boot.raw"});
  const Finished missing = flatimg({"check", "disk"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_NE(missing.output.find("boot.raw"), std::string::npos) << missing.output;
  EXPECT_EQ(flatimg({"check", "-r", "all", "disk"}).exit_code, 1);
}

TEST_F(Compose, IsCheckedWithoutEndlessSentences) {
  must({"bash", "-c",
        "qemu-img create -q -f qcow2 -o cluster_size=4k one.qcow2 2M; qemu-io -c 'write 0 2M' one.qcow2 >/dev/null;"
        "dd if=/dev/zero of=one.qcow2 bs=4k seek=2 count=1 conv=notrunc status=none; cp one.qcow2 two.qcow2"});
  ASSERT_EQ(flatimg({"compose", "-O", "disk", "one:one.qcow2", "two:two.qcow2"}).output, "");
  const Finished checked = flatimg({"check", "disk"});
  EXPECT_EQ(checked.exit_code, 2) << checked.output;
  std::size_t told = 0;
  for (std::size_t at = 0; (at = checked.output.find(": ERROR", at)) != std::string::npos; ++at) ++told;
  EXPECT_EQ(told, 200u);
  const auto counted = json_in(flatimg({"check", "--output=json", "disk"}).output);
  const std::string rest = "... and " + std::to_string(counted["corruptions"].get<int>() - 200) + " more";
  EXPECT_NE(checked.output.find(rest), std::string::npos) << checked.output.substr(checked.output.find("..."));
}

TEST_F(Compose, UsesDescriptorsThatWereHandedOver) {
  must({"bash", "-c", "printf 'composite_disk\\x1d\\x12\\x11\\x0a\\x0f/proc/self/fd/9\\x18\\x80\\x40' > disk"});
  const std::string command = "exec 9<boot.raw; exec " FLATIMG_PROGRAM " compare -F raw disk boot.raw ";
  EXPECT_EQ(in_directory({"bash", "-c", command + "--allow-path /proc/self/fd"}).output, "Images are identical.\n");
  EXPECT_NE(in_directory({"bash", "-c", command}).output.find("outside the permitted"), std::string::npos);
}

TEST_F(Compose, TakesWhatAnOverlayHoldsByCommit) {
  compose_disk();
  make_expected();
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "over.qcow2", "6348800"});
  for (const char* image : {"over.qcow2", "expected"}) {
    must({"qemu-io", "-f", image == std::string("expected") ? "raw" : "qcow2", "-c", "write -P 5 3M 200k", "-c",
          "write -P 6 24k 8k", image});
  }
  ASSERT_EQ(flatimg({"rebase", "-u", "-b", "disk", "-F", "composite", "over.qcow2"}).exit_code, 0);
  const Finished committed = flatimg({"commit", "over.qcow2"});
  EXPECT_EQ(committed.exit_code, 0) << committed.output;
  EXPECT_EQ(flatimg({"compare", "-F", "raw", "disk", "expected"}).exit_code, 0);
  EXPECT_EQ(qemu_img({"check", "-q", "root.qcow2"}).exit_code, 0);
}

}  // namespace
}  // namespace flatimg::test
