// What the program says of itself: its commands, their options, and the words of -o. Pages and completion are compared
// with that.
#pragma once

#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "mount/mounted_image.h"

namespace flatimg::test {

using Names = std::set<std::string>;

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The first group of every match of the expression in the text.
inline Names all(const std::string& text, const std::string& expression) {
  const std::regex wanted(expression);
  Names names;
  for (std::sregex_iterator found(text.begin(), text.end(), wanted), end; found != end; ++found) {
    names.insert((*found)[1]);
  }
  return names;
}

inline std::string help(const std::string& command) { return flatimg({command, "--help"}).output; }

inline Names commands() {
  const std::string text = flatimg({"--help"}).output;
  return all(text.substr(text.find("Subcommands:\n")), R"(\n  ([a-z]+) )");
}

/// "-f" and "--format" of lines that begin with them, behind `before`.
inline Names options_of(const std::string& text, const std::string& before) {
  const std::regex begin("^" + before + "(-[A-Za-z])?(, ?)?(--[a-z-]+)?.*");
  Names names;
  for (const std::string& line : lines_of(text)) {
    std::smatch found;
    if (!std::regex_match(line, found, begin)) continue;
    for (const std::string& option : {found[1].str(), found[3].str()}) {
      if (!option.empty()) names.insert(option);
    }
  }
  return names;
}

/// The options of a command, by its --help.
inline Names options_of_command(const std::string& command) { return options_of(help(command), " +"); }

/// The source of the table of mount options.
inline const std::string& option_table() {
  static const std::string text = contents_of(FLATIMG_SOURCES "/fuse/options.cpp");
  return text;
}

/// Names of that table.
inline Names known_options() { return all(option_table(), R"re(\{"([a-z_-]+)", Takes::)re"); }

/// The words of an array beside the table.
inline Names words_in_array(const std::string& name) {
  const auto begin = option_table().find("constexpr std::array " + name + "{");
  return all(option_table().substr(begin, option_table().find(';', begin) - begin), R"re("([^"]+)")re");
}

}  // namespace flatimg::test
