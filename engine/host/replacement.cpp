#include "host/replacement.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "base/text.h"
#include "host/file_lock.h"

namespace flatimg {

namespace {

constexpr mode_t kPermissions = 07777;
constexpr int kMostLinks = 40;

// Where the links lead, also when the last one leads to nothing yet. Its directory is there.
Result<std::string> behind_links(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code failed;
  fs::path file = path;
  for (int links = 0; links < kMostLinks && fs::is_symlink(fs::symlink_status(file, failed)); ++links) {
    file = file.parent_path() / fs::read_symlink(file, failed);
  }
  const fs::path directory = fs::canonical(file.has_parent_path() ? file.parent_path() : ".", failed);
  if (failed) return fail_os(failed.value(), "{}", shown(path));
  return (directory / file.filename()).string();
}

std::string site_beside(const std::string& path) {
  const std::filesystem::path file(path);
  return file.parent_path() / fmt::format(".{}.{}.part", file.filename().string().substr(0, 200), getpid());
}

}  // namespace

Replacement::Replacement(std::string path, std::unique_ptr<HostFile> before)
    : path_(std::move(path)), site_(site_beside(path_)), before_(std::move(before)) {}

Result<Replacement> Replacement::of(const std::string& path) {
  TRY(std::string real, behind_links(path));
  struct stat found {};
  if (::lstat(real.c_str(), &found) != 0) {
    if (errno == ENOENT) return Replacement(std::move(real), nullptr);
    return fail_os(errno, "{}", shown(path));
  }
  if (!S_ISREG(found.st_mode)) return fail(ErrorKind::BadUsage, "{}: is no regular file", shown(path));
  TRY(auto before, open_host_file(real, Access::ReadWrite));
  CHECK(lock_image(*before, LockAs::Writer));
  return Replacement(std::move(real), std::move(before));
}

Replacement::~Replacement() {
  if (!site_.empty()) (void)::unlink(site_.c_str());
}

Result<void> Replacement::take_place() {
  struct stat before {};
  const bool keeps_mode = before_ && ::fstat(descriptor_of(*before_), &before) == 0;
  if (keeps_mode && ::chmod(site_.c_str(), before.st_mode & kPermissions) != 0) {
    return fail_os(errno, "{}: cannot set the mode", shown(site_));
  }
  if (::rename(site_.c_str(), path_.c_str()) != 0) return fail_os(errno, "{}: cannot be put in place", shown(path_));
  site_.clear();
  return make_name_durable(path_);
}

}  // namespace flatimg
