// flatimg check -r beside qemu-img check -r: the same words, the same numbers, the same exit codes; and the same
// manners towards whoever has the image open.
#include "interop/both_programs.h"
#include "support/qcow2_damage_groups.h"

namespace flatimg::test {
namespace {

class CheckRepair : public BothPrograms {
 protected:
  struct Ends {
    int exit_code;
    std::string text;
  };
  /// What a program prints on standard output, and how it ends.
  [[nodiscard]] Ends ends(const std::string& command) const {
    const Finished finished = in_directory({"sh", "-c", command + " 2>/dev/null"});
    return {finished.exit_code, finished.output};
  }
  void expect_same(const Damage& damage, const std::string& options) const {
    SCOPED_TRACE(damage.name + ": check " + options);
    for (const char* name : {"ours", "theirs"}) damaged_image(damage).save(directory_ / (std::string(name) + ".qcow2"));
    const Ends theirs = ends("cp theirs.qcow2 x.qcow2 && qemu-img check -f qcow2 " + options + " x.qcow2");
    const Ends ours = ends("cp ours.qcow2 x.qcow2 && " FLATIMG_PROGRAM " check -f qcow2 " + options + " x.qcow2");
    EXPECT_EQ(ours.exit_code, theirs.exit_code);
    EXPECT_EQ(json_in(ours.text), json_in(theirs.text));
    const bool json = options.find("json") != std::string::npos;
    EXPECT_TRUE(json || ours.text == theirs.text) << ours.text << "\nqemu-img:\n" << theirs.text;
  }
};

// Where nothing is made anew, so that both leave the same bytes.
TEST_F(CheckRepair, SaysWhatQemuImgSays) {
  const std::vector<std::string> names{"nothing",
                                       "a counter too high",
                                       "two leaked clusters with holes",
                                       "a snapshot that was not counted",
                                       "COPIED at shared data",
                                       "a cluster used twice",
                                       "data in the L1 table",
                                       "data at a misaligned place",
                                       "reserved bits in an L1 entry",
                                       "an L2 table for two L1 entries",
                                       "a preallocated zero cluster at a misaligned place"};
  for (const Damage& damage : all_damages()) {
    if (std::find(names.begin(), names.end(), damage.name) == names.end()) continue;
    for (const char* options : {"-r all", "-r all --output=json", "-r leaks --output=json", ""})
      expect_same(damage, options);
  }
}

TEST_F(CheckRepair, RefusesAnImageThatSomebodyHasOpen) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "disk.qcow2", "1M"});
  const std::string image = directory_ / "disk.qcow2";
  for (const Words& program : {Words{"qemu-io", "-r", image}, Words{"qemu-io", image}}) {
    Conversation other(program);
    (void)other.read_until("qemu-io>");
    const Finished refused = flatimg({"check", "-r", "all", "disk.qcow2"});
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.output.find("qemu-io"), std::string::npos) << refused.output;
    (void)other.finish();
  }
  EXPECT_EQ(flatimg({"check", "-r", "all", "disk.qcow2"}).exit_code, 0);
}

TEST_F(CheckRepair, IsRefusedWithoutLocks) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "disk.qcow2", "1M"});
  EXPECT_EQ(flatimg({"check", "-U", "-r", "all", "disk.qcow2"}).exit_code, 1);
  EXPECT_EQ(flatimg({"check", "-r", "some", "disk.qcow2"}).exit_code, 1);
}

TEST_F(CheckRepair, IsQuietWhenAsked) {
  Damage damage;
  for (Damage& one : all_damages()) {
    if (one.name == "a leaked cluster") damage = one;
  }
  damaged_image(damage).save(directory_ / "disk.qcow2");
  EXPECT_EQ(ends(FLATIMG_PROGRAM " check -q disk.qcow2").text, "");
  EXPECT_EQ(ends(FLATIMG_PROGRAM " check -q disk.qcow2").exit_code, 3);
  EXPECT_EQ(ends(FLATIMG_PROGRAM " check -q -r leaks disk.qcow2").text, "");
  EXPECT_EQ(ends(FLATIMG_PROGRAM " check -q disk.qcow2").exit_code, 0);
}

TEST_F(CheckRepair, ShowsHowFarItHasComeWhenAsked) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "disk.qcow2", "64M"});
  must({"qemu-io", "-c", "write -q 0 40M", "disk.qcow2"});
  for (const char* options : {"", "--data ", "-r all ", "--data -r all "}) {
    const std::string command = std::string(FLATIMG_PROGRAM " check ") + options;
    EXPECT_NE(ends(command + "-p disk.qcow2").text.find("    (100.00/100%)\r\n"), std::string::npos) << options;
    EXPECT_EQ(ends(command + "disk.qcow2").text.find('%'), ends(command + "disk.qcow2").text.find("% allocated"));
    EXPECT_EQ(ends(command + "-p -q disk.qcow2").text, "") << options;
    EXPECT_TRUE(json_in(ends(command + "-p --output=json disk.qcow2").text).is_object()) << options;
  }
}

// What is lost is told behind the repair of what is not.
TEST_F(CheckRepair, DecodesBehindTheRepairWhenAsked) {
  must({"sh", "-c", "yes flatimg | head -c 1M > raw; qemu-img convert -c -O qcow2 raw disk.qcow2"});
  EXPECT_EQ(flatimg({"check", "--data", "-r", "all", "disk.qcow2"}).exit_code, 0);
  // The first stream begins with the first cluster behind the tables of a new image.
  must({"sh", "-c", "printf '\\377\\377\\377\\377' | dd of=disk.qcow2 bs=1 seek=327680 conv=notrunc status=none"});
  const Finished damaged = flatimg({"check", "--data", "-r", "all", "disk.qcow2"});
  EXPECT_EQ(damaged.exit_code, 2) << damaged.output;
  EXPECT_NE(damaged.output.find("cannot be decoded"), std::string::npos) << damaged.output;
  EXPECT_EQ(flatimg({"check", "disk.qcow2"}).exit_code, 0);
}

}  // namespace
}  // namespace flatimg::test
