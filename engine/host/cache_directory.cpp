#include "host/cache_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/text.h"

namespace flatimg {

namespace {

constexpr mode_t kPrivateDirectory = 0700;
constexpr mode_t kPrivateFile = 0600;
constexpr unsigned kLeastFreeShare = 20;  // of the file system: one part in so many stays free

ByteCount space_of(const struct stat& status) { return ByteCount(static_cast<std::uint64_t>(status.st_blocks) * 512); }

struct Kept {
  std::string name;
  timespec used{};
  ByteCount space;
};

bool is_older(const Kept& a, const Kept& b) {
  return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
}

std::vector<Kept> files_in(int directory) {
  std::vector<Kept> files;
  const int again = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* listing = again < 0 ? nullptr : ::fdopendir(again);
  if (listing == nullptr) return files;
  while (const dirent* entry = ::readdir(listing)) {
    struct stat status {};
    if (::fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) continue;
    files.push_back({entry->d_name, status.st_mtim, space_of(status)});
  }
  ::closedir(listing);
  return files;
}

}  // namespace

std::string CacheDirectory::usual_path() {
  if (::geteuid() == 0) return "/var/cache/flatimg";
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/') {
    return std::string(cache) + "/flatimg";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr && home[0] == '/' ? home : "/tmp") + "/.cache/flatimg";
}

Result<std::string> CacheDirectory::stamp_of(const HostFile& file) {
  struct stat status {};
  if (::fstat(file.descriptor(), &status) != 0) return fail_os(errno, "{}", shown(file.name()));
  return fmt::format("{}-{}.{:09}", status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

bool CacheDirectory::is_there(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Result<CacheDirectory> CacheDirectory::at(const std::string& path, ByteCount most) {
  std::error_code failed;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failed);
  if (::mkdir(path.c_str(), kPrivateDirectory) != 0 && errno != EEXIST) {
    return fail_os(errno, "{}: cannot make this directory", shown(path));
  }
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!directory.valid() || ::fstat(directory.get(), &status) != 0) return fail_os(errno, "{}", shown(path));
  if (status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) {
    return fail(ErrorKind::Denied, "{}: must belong to you, and be for you alone: chmod 700", shown(path));
  }
  return CacheDirectory(std::move(directory), path, most);
}

Result<std::unique_ptr<HostFile>> CacheDirectory::find(const std::string& name) {
  Descriptor file(::openat(directory_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid()) return std::unique_ptr<HostFile>();
  (void)::futimens(file.get(), nullptr);
  return adopt_host_file(std::move(file), path_ + "/" + name, Access::ReadOnly);
}

Result<std::unique_ptr<HostFile>> CacheDirectory::begin() {
  Descriptor file(::openat(directory_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, kPrivateFile));
  if (!file.valid()) return fail_os(errno, "{}: cannot make a file without a name there", shown(path_));
  return adopt_host_file(std::move(file), path_ + "/(new)", Access::ReadWrite);
}

Result<void> CacheDirectory::keep(HostFile& file, const std::string& name) {
  struct stat status {};
  if (::fstat(file.descriptor(), &status) == 0) make_room(space_of(status));
  const std::string open_file = fmt::format("/proc/self/fd/{}", file.descriptor());
  if (::linkat(AT_FDCWD, open_file.c_str(), directory_.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
  if (errno == EEXIST) return {};
  return fail_os(errno, "{}: cannot keep {}", shown(path_), shown(name));
}

void CacheDirectory::make_room(ByteCount needed) {
  std::vector<Kept> files = files_in(directory_.get());
  std::ranges::sort(files, is_older);
  ByteCount total = needed;
  for (const Kept& file : files) total += file.space;
  for (const Kept& file : files) {
    if (total <= most_) return;
    if (::unlinkat(directory_.get(), file.name.c_str(), 0) == 0) total -= file.space;
  }
}

Result<void> check_space_left(const HostFile& file) {
  struct statvfs space {};
  if (::fstatvfs(file.descriptor(), &space) != 0 || space.f_bavail >= space.f_blocks / kLeastFreeShare) return {};
  return fail(ErrorKind::NoSpace, "{}: its file system is nearly full", shown(file.name()));
}

}  // namespace flatimg
