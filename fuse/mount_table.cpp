// /proc/self/mountinfo, umount2 and fusermount3.
#include "fuse/mount_table.h"

#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "fuse/fusermount.h"
#include "fuse/option_values.h"

namespace flatimg::flat {

namespace {

/// The kernel writes blanks and backslashes as \ooo.
std::string unescaped(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto octal = text[at] == '\\' ? parse_number<unsigned>(text.substr(at + 1, 3), 8, 255) : Result<unsigned>(0u);
    if (text[at] != '\\' || !octal) {
      result += text[at];
      continue;
    }
    result += static_cast<char>(*octal);
    at += 3;
  }
  return result;
}

std::optional<unsigned> mounter_in(std::string_view options) {
  constexpr std::string_view kName = "user_id=";
  const auto at = options.find(kName);
  if (at == std::string_view::npos) return std::nullopt;
  options.remove_prefix(at + kName.size());
  const auto number = parse_number<unsigned>(options.substr(0, options.find(',')));
  return number ? std::optional(*number) : std::nullopt;
}

std::optional<std::string> resolved(const std::string& path) {
  std::array<char, PATH_MAX> buffer{};
  if (::realpath(path.c_str(), buffer.data()) == nullptr) return std::nullopt;
  return std::string(buffer.data());
}

std::vector<std::string> words_to_unmount(const std::string& mountpoint, Unmount how) {
  std::vector<std::string> words{"-u", "-q"};
  if (how == Unmount::Lazily) words.emplace_back("-z");
  words.insert(words.end(), {"--", mountpoint});
  return words;
}

}  // namespace

std::optional<MountEntry> parse_mount_line(std::string_view line) {
  // ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS
  std::istringstream words{std::string(line)};
  std::string number, parent, device, root, mountpoint, word, type, source, options;
  words >> number >> parent >> device >> root >> mountpoint;
  while (words >> word && word != "-") continue;
  words >> type >> source >> options;
  const auto colon = device.find(':');
  if (options.empty() || colon == std::string::npos) return std::nullopt;
  const auto device_major = parse_number<unsigned>(std::string_view(device).substr(0, colon));
  const auto device_minor = parse_number<unsigned>(std::string_view(device).substr(colon + 1));
  if (!device_major || !device_minor) return std::nullopt;
  return MountEntry{unescaped(mountpoint), type, unescaped(source), *device_major, *device_minor, mounter_in(options)};
}

std::vector<MountEntry> all_mounts() {
  std::ifstream table("/proc/self/mountinfo");
  std::vector<MountEntry> mounts;
  for (std::string line; std::getline(table, line);) {
    if (auto entry = parse_mount_line(line)) mounts.push_back(*std::move(entry));
  }
  return mounts;
}

std::optional<MountEntry> mount_at(const std::string& mountpoint) {
  std::optional<MountEntry> last;  // later mounts lie on top
  for (MountEntry& entry : all_mounts()) {
    if (entry.mountpoint == mountpoint) last = std::move(entry);
  }
  return last;
}

Result<std::string> canonical_mountpoint(const std::string& path) {
  if (auto whole = resolved(path)) return *std::move(whole);
  const int why = errno;
  if (why == ENOTCONN || why == EACCES) {  // the last part is a mount that does not answer (us)
    const auto slash = path.find_last_of('/');
    const std::string last = slash == std::string::npos ? path : path.substr(slash + 1);
    const auto folder = resolved(slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash));
    if (folder && !last.empty() && last != "." && last != "..") return *folder + (*folder == "/" ? "" : "/") + last;
  }
  return fail_os(why, "{}", shown(path));
}

bool is_dead_mount(const std::string& mountpoint) {
  struct statvfs answer {};
  return statvfs(mountpoint.c_str(), &answer) != 0 && errno == ENOTCONN;
}

Result<void> unmount(const std::string& mountpoint, Unmount how) {
  const int flags = UMOUNT_NOFOLLOW | (how == Unmount::Lazily ? MNT_DETACH : 0);
  if (umount2(mountpoint.c_str(), flags) == 0) return {};
  const int why = errno;
  if (why != EPERM) return fail_os(why, "unmounting {}", shown(mountpoint));
  if (run_fusermount(words_to_unmount(mountpoint, how))) return {};
  return fail(ErrorKind::Busy, "unmounting {}: fusermount3 refused: files are open, or it is somebody else's mount",
              shown(mountpoint));
}

}  // namespace flatimg::flat
