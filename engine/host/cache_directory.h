// A directory for files that can be made again from others, for the next time.
//
// Invariants:
//   1. It belongs to this user and nobody else can look into it: what lies there is what images contain.
//   2. Under a name there is a complete file or none. What is being made has no name, so a crash leaves nothing behind.
//   3. Names are taken away, oldest use first, when the files take more than the bound; who has one open keeps it.
#pragma once

#include <string>

#include "host/posix_file.h"

namespace flatimg {

class CacheDirectory {
 public:
  /// Makes the directory, and those above it, where it is not there. Denied when it is not ours alone.
  static Result<CacheDirectory> at(const std::string& path, ByteCount most);
  /// Whether at() would find it, and have nothing to make.
  static bool is_there(const std::string& path);
  /// $XDG_CACHE_HOME/flatimg or ~/.cache/flatimg; of the superuser, /var/cache/flatimg.
  static std::string usual_path();

  /// What changes when the contents of a file are changed: its length and the time of its last change.
  static Result<std::string> stamp_of(const HostFile& file);

  /// The file of that name, for reading, and marked as used now; nullptr when there is none.
  Result<std::unique_ptr<HostFile>> find(const std::string& name);
  /// A file without a name.
  Result<std::unique_ptr<HostFile>> begin();
  /// Gives a complete file its name. Somebody else may have been faster: then theirs stays.
  Result<void> keep(HostFile& file, const std::string& name);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  CacheDirectory(Descriptor directory, std::string path, ByteCount most)
      : directory_(std::move(directory)), path_(std::move(path)), most_(most) {}

  void make_room(ByteCount needed);

  Descriptor directory_;
  std::string path_;
  ByteCount most_;
};

/// NoSpace when so little is left of the file's file system that others would suffer.
Result<void> check_space_left(const HostFile& file);

}  // namespace flatimg
