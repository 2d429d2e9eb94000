// What is mounted where, and taking it away again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace flatimg::flat {

struct MountEntry {
  std::string mountpoint;
  std::string type;    // "fuse.flatimg"
  std::string source;  // what fsname= says
  unsigned device_major = 0;
  unsigned device_minor = 0;
  std::optional<unsigned> mounter;  // user_id= of a FUSE mount

  [[nodiscard]] bool is_ours() const { return type == "fuse.flatimg"; }
};

/// Everything that is mounted, in the order of mounting.
[[nodiscard]] std::vector<MountEntry> all_mounts();

/// The topmost mount at this canonical path.
[[nodiscard]] std::optional<MountEntry> mount_at(const std::string& mountpoint);

/// A line of /proc/self/mountinfo.
[[nodiscard]] std::optional<MountEntry> parse_mount_line(std::string_view line);

/// The path without symbolic links; also of a mountpoint whose file system no longer answers.
Result<std::string> canonical_mountpoint(const std::string& path);

/// A FUSE file system is mounted there whose helper has gone. stat() would not tell: the kernel may still know the
/// answer.
[[nodiscard]] bool is_dead_mount(const std::string& mountpoint);

enum class Unmount { Now, Lazily };
/// As root by itself, else through fusermount3. Busy when files are open and it was to happen now.
Result<void> unmount(const std::string& mountpoint, Unmount how);

}  // namespace flatimg::flat
