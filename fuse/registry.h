// Where the control socket of a mount is: a folder of one's own for each user, in it MAJOR-MINOR.sock, after the device
// number under which the kernel knows the mount. That number is unique while the mount lives and can be read from the
// mount table even when the mount no longer answers.
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <string>

#include "base/result.h"
#include "fuse/mount_table.h"
#include "host/posix_file.h"

namespace flatimg::flat {

/// The folder for the sockets of this user: made when absent, mode 0700, and refused when it is somebody else's.
Result<std::string> own_registry();

[[nodiscard]] std::string socket_name(dev_t device);

/// Removes sockets whose helper is gone.
void remove_stale_sockets(const std::string& folder);

/// A connection to the helper that serves a mount; NotFound when there is none.
Result<Descriptor> connect_to_helper(const MountEntry& mount);

/// BadUsage when the path is too long for a socket.
Result<sockaddr_un> socket_address(const std::string& path);

}  // namespace flatimg::flat
