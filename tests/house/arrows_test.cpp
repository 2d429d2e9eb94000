// Which room may know which: nobody calls upwards, no format knows another, and only the catalog knows them all. System
// calls on image files and errno stay where they belong.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "house/source_tree.h"

namespace flatimg::house {
namespace {

using Names = std::set<std::string>;

// Rooms that are no formats, and what they may include beside themselves.
const std::map<std::string, Names> kArrows = {
    {"base", {}},
    {"host", {"base"}},
    {"codec", {"base"}},
    {"crypto", {"base"}},
    {"cache", {"base", "host"}},
    {"image", {"base", "host"}},
    {"view", {"base", "host", "image"}},
    {"partitions", {"base", "codec", "image", "view"}},
    {"transfer", {"base", "image", "view"}},
    {"fuse", {"base", "host", "image", "view", "partitions", "catalog"}},
    {"tools", {"base", "host", "image", "view", "catalog", "transfer", "fuse"}},
};
const Names kBelowFormats = {"base", "host", "codec", "crypto", "cache", "image"};

Names formats() {
  Names names;
  for (const Room& room : rooms()) {
    if (!kArrows.contains(room.name) && room.name != "catalog") names.insert(room.name);
  }
  return names;
}

Names allowed_for(const std::string& room) {
  Names allowed = kBelowFormats;
  if (const auto known = kArrows.find(room); known != kArrows.end()) {
    allowed = known->second;
  } else if (room == "catalog") {
    allowed.merge(formats());
  }
  allowed.insert(room);
  return allowed;
}

class RoomOf : public ::testing::TestWithParam<Room> {};

TEST_P(RoomOf, IncludesOnlyWhatItMayKnow) {
  const Names allowed = allowed_for(GetParam().name);
  const std::regex include(R"re(^\s*#\s*include\s*"([^/"]+)/[^"]*")re");
  for (const auto& path : files_in(GetParam().folder, is_source)) {
    for (const std::string& line : lines_of(path)) {
      std::smatch found;
      if (!std::regex_search(line, found, include)) continue;
      EXPECT_TRUE(allowed.contains(found[1])) << short_name(path) << ": " << line;
    }
  }
}

// The same for the libraries that a room is linked with.
TEST_P(RoomOf, LinksOnlyWhatItMayKnow) {
  const Names allowed = allowed_for(GetParam().name);
  Names all;
  for (const Room& room : rooms()) all.insert(room.name);
  const std::regex link_line(R"(^\s*(flatimg_room|target_link_libraries)\(\S+(.*)$)");
  for (const std::string& line : lines_of(GetParam().folder / "CMakeLists.txt")) {
    std::smatch found;
    if (!std::regex_search(line, found, link_line)) continue;
    std::istringstream words(found[2]);
    for (std::string word; words >> word;) {
      while (!word.empty() && word.back() == ')') word.pop_back();
      EXPECT_TRUE(!all.contains(word) || allowed.contains(word)) << GetParam().name << " links " << word;
    }
  }
}

// Of the engine, only host may. fuse and tools have files of their own (sockets, mount points), but none that is an
// image.
TEST_P(RoomOf, MakesNoSystemCallsOnImageFiles) {
  const std::string room = GetParam().name;
  if (room == "host") return;
  const bool engine = room != "fuse" && room != "tools";
  const std::regex header(
      R"(#\s*include\s*<(fcntl\.h|unistd\.h|sys/.*|linux/.*|fstream|filesystem|aio\.h|liburing\.h)>)");
  const std::regex everywhere(
      R"((^|[^\w.>:])(::)?(pwrite|pwritev2?|preadv2?|fallocate|posix_fallocate|copy_file_range|posix_fadvise)\()");
  for (const auto& path : files_in(GetParam().folder, is_source)) {
    if (short_name(path) == "engine/base/secret.cpp") continue;             // pages for keys, no file
    const bool handler = path.filename().string().starts_with("handlers");  // its functions have the names of requests
    for (const std::string& line : lines_of(path)) {
      EXPECT_FALSE(engine && std::regex_search(line, header)) << short_name(path) << ": " << line;
      EXPECT_FALSE(!handler && std::regex_search(code_of(line), everywhere)) << short_name(path) << ": " << line;
    }
  }
}

TEST_P(RoomOf, HasNoErrnoUnlessItTalksToTheKernel) {
  const std::string room = GetParam().name;
  if (room == "host" || room == "fuse") return;
  const std::regex word(
      R"(\berrno\b|<cerrno>|\bE(IO|NOSPC|INVAL|BUSY|PERM|ACCES|NOENT|AGAIN|INTR|FBIG|DQUOT|ROFS|NOMEM)\b)");
  for (const auto& path : files_in(GetParam().folder, is_source)) {
    if (short_name(path) == "engine/base/result.cpp") continue;  // where an errno becomes a kind
    for (const std::string& line : lines_of(path)) {
      EXPECT_FALSE(std::regex_search(code_of(line), word)) << short_name(path) << ": " << line;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(House, RoomOf, ::testing::ValuesIn(rooms()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg::house
