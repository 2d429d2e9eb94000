// What other programs can ask of a mount: its counters, snapshots of its image, and to end with the image final.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "fuse/mount_table.h"

namespace flatimg::flat {

/// The mount of ours at a path, or behind a loop device; NotFound when something else or nothing is mounted there.
Result<MountEntry> find_mount(const std::string& path);

/// The mount of ours on which the path lies: that its flat file is, or the mountpoint; or its loop device.
[[nodiscard]] std::optional<MountEntry> mount_around(const std::string& path);

/// The mount of ours that writes to this image, by what the helpers of this user (or, for root, of all) say.
[[nodiscard]] std::optional<MountEntry> mount_writing(const std::string& image);

/// stats.json of the mount.
Result<std::string> ask_status(const MountEntry& mount);

/// Takes or deletes an internal snapshot of the image that is mounted. All or nothing, and on disk on return. `path` is
/// the flat file, which says which image of a directory is meant.
Result<void> create_snapshot(const MountEntry& mount, const std::string& path, const std::string& name);
Result<void> delete_snapshot(const MountEntry& mount, const std::string& path, const std::string& name);

/// Unmounts and waits until the image is final. An error is why it could not be unmounted, or what was wrong with the
/// last flush. A mount whose helper has died is taken away; the answer then says so.
Result<std::string> unmount_and_wait(const MountEntry& mount, Unmount how);

/// Lets go of a loop device that flatimg has attached, and waits until the image is final. Busy when it is in use;
/// NotFound when it was not attached by flatimg; else as unmount_and_wait().
Result<void> detach_and_wait(const std::string& device);

}  // namespace flatimg::flat
