// What other programs can ask of a mount: its counters, and to end with the image final.
#pragma once

#include <string>

#include "base/result.h"
#include "fuse/mount_table.h"

namespace flatimg::flat {

/// The mount of ours at a path; NotFound when something else or nothing is mounted there.
Result<MountEntry> find_mount(const std::string& path);

/// stats.json of the mount.
Result<std::string> ask_status(const MountEntry& mount);

/// Unmounts and waits until the image is final. An error is why it could not be unmounted, or what was wrong with the
/// last flush. A mount whose helper has died is taken away; the answer then says so.
Result<std::string> unmount_and_wait(const MountEntry& mount, Unmount how);

}  // namespace flatimg::flat
