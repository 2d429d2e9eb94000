// The sources as a test reads them: rooms, files, lines.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

namespace flatimg::house {

namespace fs = std::filesystem;

inline const fs::path kSources = FLATIMG_SOURCES;

/// A folder of the program, with its README.
struct Room {
  std::string name;
  fs::path folder;
};
inline void PrintTo(const Room& room, std::ostream* out) { *out << room.name; }

inline std::vector<Room> rooms() {
  std::vector<Room> all;
  for (const auto& entry : fs::directory_iterator(kSources / "engine")) {
    if (entry.is_directory()) all.push_back({entry.path().filename().string(), entry.path()});
  }
  all.push_back({"fuse", kSources / "fuse"});
  all.push_back({"tools", kSources / "tools"});
  std::sort(all.begin(), all.end(), [](const Room& a, const Room& b) { return a.name < b.name; });
  return all;
}

inline bool is_source(const fs::path& path) { return path.extension() == ".cpp" || path.extension() == ".h"; }

/// Every file beneath a folder for which `wanted` says yes, in order.
inline std::vector<fs::path> files_in(const fs::path& folder, bool (*wanted)(const fs::path&)) {
  std::vector<fs::path> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && wanted(entry.path())) all.push_back(entry.path());
  }
  std::sort(all.begin(), all.end());
  return all;
}

inline std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

/// The line without a comment that runs to its end.
inline std::string code_of(const std::string& line) { return line.substr(0, line.find("//")); }

inline std::string short_name(const fs::path& path) { return fs::relative(path, kSources).string(); }

}  // namespace flatimg::house
