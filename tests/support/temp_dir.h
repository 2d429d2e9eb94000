// A directory that disappears with the test.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace flatimg::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const { return (path_ / name).string(); }

  /// Creates or replaces a file in it. Returns its path.
  std::string write(std::string_view name, std::string_view contents) const;  // NOLINT(modernize-use-nodiscard)

 private:
  std::filesystem::path path_;
};

/// The whole of a file.
[[nodiscard]] std::string contents_of(const std::string& path);

}  // namespace flatimg::test
