// Each room has a README whose table is a true map of its files; files stay short, and nobody leaves notes to himself.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "house/source_tree.h"

namespace flatimg::house {
namespace {

// The names in the first column of the table that begins with "file": `disk.h`, disk (of disk.h and disk.cpp),
// handlers_*.
std::vector<std::string> named_files(const fs::path& readme) {
  std::vector<std::string> names;
  bool in_table = false;
  for (const std::string& line : lines_of(readme)) {
    if (!line.starts_with('|')) in_table = false;
    if (line.starts_with("| file |")) in_table = true;
    if (!in_table || line.starts_with("| file |") || line.starts_with("|-")) continue;
    const std::string cell = line.substr(1, line.find('|', 1) - 1);
    const std::regex word(R"([\w*.]+)");
    for (std::sregex_iterator found(cell.begin(), cell.end(), word), end; found != end; ++found)
      names.push_back(found->str());
  }
  return names;
}

bool is_named(const std::string& name, const fs::path& file) {
  if (name.ends_with('*')) return file.filename().string().starts_with(name.substr(0, name.size() - 1));
  return name == file.filename() || name == file.stem();
}

class MapOf : public ::testing::TestWithParam<Room> {};

TEST_P(MapOf, NamesFilesThatExist) {
  const fs::path readme = GetParam().folder / "README.md";
  ASSERT_TRUE(fs::exists(readme)) << "no README.md";
  const auto files = files_in(GetParam().folder, is_source);
  const auto names = named_files(readme);
  EXPECT_FALSE(names.empty()) << "no table of files";
  for (const std::string& name : names) {
    EXPECT_TRUE(std::any_of(files.begin(), files.end(), [&](const fs::path& file) { return is_named(name, file); }))
        << GetParam().name << "/README.md names " << name << ", which is not there";
  }
}

TEST_P(MapOf, NamesEveryHeader) {
  const auto names = named_files(GetParam().folder / "README.md");
  for (const auto& file : files_in(GetParam().folder, is_source)) {
    if (file.extension() != ".h") continue;
    EXPECT_TRUE(std::any_of(names.begin(), names.end(), [&](const std::string& name) { return is_named(name, file); }))
        << GetParam().name << "/README.md does not name " << file.filename();
  }
}

INSTANTIATE_TEST_SUITE_P(House, MapOf, ::testing::ValuesIn(rooms()),
                         [](const auto& param) { return param.param.name; });

// --- all files ------------------------------------------------------------------------------------------------------

std::vector<fs::path> all_sources() {
  std::vector<fs::path> all;
  for (const char* root : {"engine", "fuse", "tools", "tests"}) {
    const auto some = files_in(kSources / root, is_source);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

TEST(SourceFiles, AreShort) {
  constexpr std::size_t kMostLines = 500;
  const std::set<std::string> looked_at_twice = {};
  for (const auto& path : all_sources()) {
    if (looked_at_twice.contains(short_name(path))) continue;
    EXPECT_LE(lines_of(path).size(), kMostLines) << short_name(path);
  }
}

TEST(SourceFiles, BeginByTellingWhatTheyAreFor) {
  for (const auto& path : all_sources()) {
    if (short_name(path).starts_with("tests/engine/")) continue;  // of the file that it mirrors
    // The implementation of a header that says it need not say it again.
    fs::path header = path;
    if (path.extension() == ".cpp" && fs::exists(header.replace_extension(".h"))) continue;
    const auto lines = lines_of(path);
    ASSERT_FALSE(lines.empty()) << short_name(path);
    EXPECT_TRUE(lines.front().starts_with("// ")) << short_name(path) << ": " << lines.front();
  }
}

TEST(SourceFiles, HoldNoNotesToOneself) {
  const std::regex note(std::string(R"(\b(TO)") + "DO|FIX" + R"(ME|XX)" + R"(X|HA)" + R"(CK)\b)");
  auto files = all_sources();
  const auto is_text = [](const fs::path& path) { return path.extension() != ".png"; };
  for (const auto& path : files_in(kSources / "contrib", is_text)) files.push_back(path);
  for (const auto& path : files) {
    for (const std::string& line : lines_of(path)) {
      EXPECT_FALSE(std::regex_search(line, note)) << short_name(path) << ": " << line;
    }
  }
}

TEST(TopLevel, IsAsShortAsPromised) {
  const std::set<std::string> expected = {
      "CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md", "contrib", "engine", "fuse", "tests", "tools",
      "build"};
  for (const auto& entry : fs::directory_iterator(kSources)) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name.starts_with('.') || expected.contains(name)) << name;
  }
}

}  // namespace
}  // namespace flatimg::house
