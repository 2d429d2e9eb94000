#include "fuse/new_overlay.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/text.h"
#include "host/new_file.h"
#include "host/posix_file.h"

namespace flatimg::flat {

Result<NewOverlay> NewOverlay::for_mount(const std::string& source, const MountOptions& options) {
  NewOverlay overlay;
  struct stat found {};
  if (!options.overlay || options.read_only) return overlay;
  if (::stat(source.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) return overlay;
  if (::stat(options.overlay->c_str(), &found) == 0 || errno != ENOENT) return overlay;
  std::error_code failed;
  overlay.path_ = std::filesystem::absolute(*options.overlay, failed).string();
  auto made = create_host_file(overlay.path_, NewFile::kPrivate);
  if (!made) return Failure(std::move(made.error()).within("overlay " + shown(*options.overlay)));
  overlay.made_ = (*made)->identity();
  return overlay;
}

void NewOverlay::take_back_if_empty() const {
  struct stat now {};
  if (!made_ || ::lstat(path_.c_str(), &now) != 0 || now.st_size != 0) return;
  if (FileIdentity{now.st_dev, now.st_ino} == *made_) (void)::unlink(path_.c_str());
}

}  // namespace flatimg::flat
