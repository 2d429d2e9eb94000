// The man pages against the program: what --help and the table of mount options have is in the pages, and the reverse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "contrib/told_options.h"

namespace flatimg::test {
namespace {

namespace fs = std::filesystem;
using ::testing::IsSupersetOf;

// The pages as scdoc reads them, with what they have in common put in.
const fs::path kPages = FLATIMG_BUILD_TREE "/contrib/man";

std::string page(const std::string& name) { return contents_of((kPages / (name + ".scd")).string()); }

/// What follows the heading, up to the next one.
std::string section(const std::string& text, const std::string& heading) {
  const auto begin = text.find("# " + heading + "\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find("\n# ", begin + 1) - begin);
}

// --- commands -------------------------------------------------------------------------------------------------------

TEST(ManPages, EveryCommandHasAPageAndEveryPageACommand) {
  Names pages;
  for (const auto& entry : fs::directory_iterator(kPages)) {
    std::smatch found;
    const std::string name = entry.path().filename();
    if (std::regex_match(name, found, std::regex(R"(flatimg-(.*)\.1\.scd)"))) pages.insert(found[1]);
  }
  EXPECT_EQ(pages, commands());
  EXPECT_THAT(commands(), IsSupersetOf({"mount", "umount", "check"}));
}

TEST(ManPages, TheOverviewListsEveryCommand) {
  EXPECT_EQ(all(section(page("flatimg.1"), "COMMANDS"), R"(\n\*([a-z]+)\*\n)"), commands());
}

TEST(ManPages, EveryOptionOfACommandIsInItsPageAndTheReverse) {
  for (const std::string& command : commands()) {
    const Names told = options_of_command(command);
    EXPECT_THAT(told, IsSupersetOf({"-h", "--help"})) << command;
    const std::string options = section(page("flatimg-" + command + ".1"), "OPTIONS");
    EXPECT_EQ(options_of(options, R"(\*)"), told) << command;
  }
}

// --- mount options --------------------------------------------------------------------------------------------------

TEST(ManPages, EveryMountOptionIsExplainedAndTheReverse) {
  Names wanted = known_options();
  EXPECT_THAT(wanted, IsSupersetOf({"ro", "format", "key-file", "allow_other"}));
  wanted.merge(words_in_array("kKernelWords"));
  Names explained;
  const std::string text = page("flatimg-options.5");
  for (const std::string& line : lines_of(text.substr(0, text.find("# FOR OTHERS")))) {
    if (line.starts_with('*')) explained.merge(all(line, R"(\*([a-z_-]+)=?\*)"));
  }
  EXPECT_EQ(explained, wanted);
}

TEST(ManPages, EveryWordForOthersIsNamed) {
  const std::string text =
      std::regex_replace(section(page("flatimg-options.5"), "FOR OTHERS"), std::regex(R"(\\)"), "");
  Names wanted = words_in_array("kSwallowed");
  wanted.merge(words_in_array("kSwallowedPrefixes"));
  Names named = all(text, R"(\*([A-Za-z_-]+=?)\*(?!\())");
  EXPECT_EQ(named, wanted);
}

TEST(ManPages, HelpOfMountNamesEveryOptionOfOurOwn) {
  const std::string text = help("mount");
  for (const std::string& option : known_options()) {
    if (option == "default_permissions" || option == "subtype") continue;  // as for other FUSE mounts
    EXPECT_TRUE(std::regex_search(text, std::regex("[\n ]" + option + "\\b"))) << option;
  }
}

// --- as documents ---------------------------------------------------------------------------------------------------

TEST(ManPages, ReferToPagesThatExist) {
  for (const auto& entry : fs::directory_iterator(kPages)) {
    if (entry.path().extension() != ".scd") continue;
    const std::string text = contents_of(entry.path().string());
    for (const std::string& name : all(text, R"(\*((u?mount\.|)flatimg[a-z-]*\*\([0-9]\)))")) {
      const std::string file = std::regex_replace(name, std::regex(R"(\*\((.)\))"), ".$1.scd");
      EXPECT_TRUE(fs::exists(kPages / file)) << entry.path() << " refers to " << file;
    }
  }
}

TEST(ManPages, AreFormattedWithoutAWarning) {
  if (!fs::exists(kPages / "flatimg.1")) GTEST_SKIP() << "the build tree has no pages: scdoc is not installed";
  if (!has_program("man")) GTEST_SKIP() << "man is not installed";
  const auto outcome = shell("cd " + kPages.string() +
                             "; for page in flatimg*.[1-8] mount*.8 umount.flatimg.8; do"
                             " LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z $page 2>&1 > /dev/null; done");
  EXPECT_EQ(outcome.output, "");
  EXPECT_EQ(outcome.exit_code, 0);
}

}  // namespace
}  // namespace flatimg::test
