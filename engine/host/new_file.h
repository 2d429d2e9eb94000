// A file that is being made: until keep() is called, its end takes back what was begun.
//
// Invariants:
//   1. What was there before is not touched while somebody else has it open.
//   2. Without keep(), a file that did not exist is gone again, and one that did is empty.
#pragma once

#include <string>

#include "host/posix_file.h"

namespace flatimg {

class NewFile {
 public:
  enum class Existing {
    Replace,      // what is there is emptied; a block device keeps its contents
    MustBeEmpty,  // Denied when there is anything in it
  };
  static constexpr unsigned kPrivate = 0600;

  /// Creates the file with this mode (less umask), or takes what is there, and locks it as a writer.
  static Result<NewFile> at(const std::string& path, Existing existing = Existing::Replace, unsigned mode = 0644);

  NewFile(NewFile&&) noexcept = default;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  [[nodiscard]] HostFile& file() { return *file_; }
  void keep() { kept_ = true; }

 private:
  enum class Before { Absent, There };
  NewFile(std::unique_ptr<HostFile> file, std::string path, Before before)
      : file_(std::move(file)), path_(std::move(path)), before_(before) {}

  std::unique_ptr<HostFile> file_;
  std::string path_;
  Before before_;
  bool locked_ = false;  // nobody else has it open
  bool kept_ = false;
};

}  // namespace flatimg
