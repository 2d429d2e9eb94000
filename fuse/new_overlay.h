// The empty file of an overlay that does not exist yet: made by the supervisor, because the worker may make no files;
// filled by the worker, which takes an empty file for none (catalog/overlay.h). For a directory of images: the
// directory of their overlays, in which the worker makes files itself.
#pragma once

#include <optional>
#include <string>

#include "fuse/options.h"
#include "host/host_file.h"

namespace flatimg::flat {

class NewOverlay {
 public:
  /// Makes it when the options ask for an overlay that is to be written and is not there.
  static Result<NewOverlay> for_mount(const std::string& source, const MountOptions& options);
  /// Nothing became of it: removes what was made. What was there before, or has become an image, stays.
  void take_back_if_empty() const;

 private:
  std::string path_;
  std::optional<FileIdentity> made_;  // the file
  bool is_directory_ = false;         // or a directory, which was made
};

}  // namespace flatimg::flat
