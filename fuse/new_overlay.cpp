#include "fuse/new_overlay.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/text.h"
#include "host/new_file.h"
#include "host/posix_file.h"

namespace flatimg::flat {

namespace {

bool is_directory(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

bool is_absent(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) != 0 && errno == ENOENT;
}

Result<void> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  return fail_os(errno, "overlay {}", shown(path));
}

}  // namespace

Result<NewOverlay> NewOverlay::for_mount(const std::string& source, const MountOptions& options) {
  NewOverlay overlay;
  if (!options.overlay || !is_absent(*options.overlay)) return overlay;
  std::error_code failed;
  overlay.path_ = std::filesystem::absolute(*options.overlay, failed).string();
  if (is_directory(source)) {
    CHECK(make_directory(overlay.path_));
    overlay.is_directory_ = true;
    return overlay;
  }
  if (options.read_only) return overlay;
  auto made = create_host_file(overlay.path_, NewFile::kPrivate);
  if (!made) return Failure(std::move(made.error()).within("overlay " + shown(*options.overlay)));
  overlay.made_ = (*made)->identity();
  return overlay;
}

void NewOverlay::take_back_if_empty() const {
  if (is_directory_) (void)::rmdir(path_.c_str());
  struct stat now {};
  if (!made_ || ::lstat(path_.c_str(), &now) != 0 || now.st_size != 0) return;
  if (FileIdentity{now.st_dev, now.st_ino} == *made_) (void)::unlink(path_.c_str());
}

}  // namespace flatimg::flat
