// info --explain: everything that stands in the way at once, and which files an image names.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "interop/both_programs.h"

namespace flatimg::test {
namespace {

using Json = nlohmann::json;

class Explain : public BothPrograms {
 protected:
  Json explain(const std::string& image, int expected_exit, std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"info", "--explain", "--output=json"});
    options.push_back(image);
    const Finished finished = flatimg(options);
    EXPECT_EQ(finished.exit_code, expected_exit) << finished.output;
    return Json::parse(finished.output, nullptr, false);
  }
  static std::vector<std::string> features(const Json& explained) {
    std::vector<std::string> found;
    for (const Json& problem : explained.at("problems")) found.push_back(problem.at("feature"));
    return found;
  }
  void set_byte(const std::string& image, int at, const std::string& octal) {
    must({"sh", "-c",
          "printf '\\" + octal + "' | dd status=none conv=notrunc bs=1 seek=" + std::to_string(at) + " of=" + image});
  }
};

TEST_F(Explain, NamesTheFilesOfASoundImage) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", "1M"});
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "-o", "data_file=data.raw",
        "over.qcow2"});
  const Json explained = explain("over.qcow2", 0);
  EXPECT_TRUE(explained.at("can-be-mounted"));
  ASSERT_EQ(explained.at("files").size(), 2u);
  for (const Json& file : explained.at("files")) {
    EXPECT_TRUE(file.at("found"));
    EXPECT_TRUE(std::filesystem::exists(file.at("path").get<std::string>()));
  }
}

TEST_F(Explain, TellsEveryProblemAtOnce) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=data.raw", "base.qcow2", "1M"});
  must({"sh", "-c",
        "qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 -o data_file=own.raw over.qcow2; rm base.qcow2 own.raw"});
  set_byte("over.qcow2", 79, "106");  // corrupt, data file, and bit 6 that nobody knows
  const Json explained = explain("over.qcow2", 1);
  EXPECT_EQ(features(explained),
            (std::vector<std::string>{"incompatible features", "corrupt bit", "data file", "backing file"}));
  for (const Json& problem : explained.at("problems"))
    EXPECT_TRUE(problem.contains("help") || problem.at("feature") == "data file");
}

TEST_F(Explain, OpensNothingThatTheImageNames) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", "1M"});
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "over.qcow2"});
  must({"sh", "-c", "echo broken > base.qcow2"});
  EXPECT_TRUE(explain("over.qcow2", 0).at("can-be-mounted"));
  EXPECT_FALSE(explain("over.qcow2", 1, {"--backing-chain"}).at("can-be-mounted"));
}

TEST_F(Explain, NoticesABaseThatWasWrittenLater) {
  must({"qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", "1M"});
  must({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "over.qcow2"});
  must({"touch", "-d", "1 hour", "base.qcow2"});
  const Json explained = explain("over.qcow2", 0);
  ASSERT_EQ(features(explained), std::vector<std::string>{"backing file"});
  EXPECT_NE(explained.dump().find("backing=FILE"), std::string::npos);
}

class RecordedBase : public Explain {
 protected:
  void SetUp() override {
    Explain::SetUp();
    must({"qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", "1M"});
    must({"touch", "-d", "2020-01-01", "base.qcow2"});
    must({FLATIMG_PROGRAM, "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "over.qcow2"});
  }
  void expect_noticed(const std::string& how) {
    const Json explained = explain("over.qcow2", 0);
    ASSERT_EQ(features(explained), std::vector<std::string>{"backing file"});
    EXPECT_NE(explained.dump().find(how), std::string::npos) << explained;
  }
};

TEST_F(RecordedBase, IsAsItWas) {
  EXPECT_EQ(features(explain("over.qcow2", 0)), std::vector<std::string>{});
  EXPECT_EQ(qemu_img({"check", "-q", "over.qcow2"}).exit_code, 0);
}

TEST_F(RecordedBase, IsNoticedWhenReplacedByAnOlderOne) {
  must({"touch", "-d", "2019-01-01", "base.qcow2"});
  expect_noticed("is older than");
}

TEST_F(RecordedBase, IsNoticedWhenWrittenLaterAndTheOverlayAsWell) {
  must({"touch", "-d", "2021-01-01", "base.qcow2"});  // still older than the overlay
  expect_noticed("was written later than");
}

TEST_F(RecordedBase, IsNoticedWhenOfAnotherSize) {
  must({"sh", "-c", "qemu-img create -q -f qcow2 -o preallocation=metadata base.qcow2 64M"});
  expect_noticed("has another size than");
  EXPECT_NE(explain("over.qcow2", 0, {"--backing-chain"}).dump().find("is larger than this disk"), std::string::npos);
}

TEST_F(RecordedBase, IsAcceptedAnewByRebaseAndByCommit) {
  must({"touch", "-d", "2021-01-01", "base.qcow2"});
  must({FLATIMG_PROGRAM, "rebase", "-u", "-b", "base.qcow2", "-F", "qcow2", "over.qcow2"});
  EXPECT_EQ(features(explain("over.qcow2", 0)), std::vector<std::string>{});
  must({"qemu-io", "-c", "write -q 0 64k", "over.qcow2"});
  must({FLATIMG_PROGRAM, "commit", "-q", "over.qcow2"});
  EXPECT_EQ(features(explain("over.qcow2", 0)), std::vector<std::string>{});
}

TEST_F(RecordedBase, OfAnotherNameIsAnother) {
  must({"sh", "-c", "cp base.qcow2 other.qcow2; qemu-img rebase -u -b other.qcow2 -F qcow2 over.qcow2"});
  must({"touch", "-d", "2018-01-01", "other.qcow2"});
  EXPECT_EQ(features(explain("over.qcow2", 0)), std::vector<std::string>{});
}

TEST_F(Explain, SaysWhatWouldPermitAFileElsewhere) {
  must({"sh", "-c",
        "mkdir one two; qemu-img create -q -f qcow2 two/base.qcow2 1M;"
        "qemu-img create -q -f qcow2 -b ../two/base.qcow2 -F qcow2 one/over.qcow2"});
  EXPECT_NE(explain("one/over.qcow2", 1).dump().find("allow-path=DIR"), std::string::npos);
  EXPECT_TRUE(explain("one/over.qcow2", 0, {"--allow-path", "two"}).at("can-be-mounted"));
}

}  // namespace
}  // namespace flatimg::test
