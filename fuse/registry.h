// Where the control socket of a mount is: a folder of one's own for each user, in it MAJOR-MINOR.sock, after the device
// number under which the kernel knows the mount. That number is unique while the mount lives and can be read from the
// mount table even when the mount no longer answers.
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "fuse/mount_table.h"
#include "host/posix_file.h"

namespace flatimg::flat {

/// The folder for the sockets of this user: made when absent, mode 0700, and refused when it is somebody else's.
Result<std::string> own_registry();

[[nodiscard]] std::string socket_name(dev_t device);

/// The numbers of the mounts whose control sockets this user may use; some of them may be gone.
[[nodiscard]] std::vector<dev_t> devices_with_sockets();

/// The name of a control socket while its mount lives.
class ControlSocket {
 public:
  /// Listens for the mount with that device number, in the own registry or in that folder. Failing is no reason not to
  /// mount.
  static Result<ControlSocket> listen(dev_t device);
  static Result<ControlSocket> listen(const std::string& folder, dev_t device);
  /// The listening socket; the name stays.
  [[nodiscard]] Descriptor take() { return std::move(socket_); }
  /// Removes the name when nobody listens there any more. The kernel may have given the number to another mount since,
  /// whose socket then has the same name: that one stays.
  void remove() const;

 private:
  ControlSocket(std::string folder, std::string path, Descriptor socket)
      : folder_(std::move(folder)), path_(std::move(path)), socket_(std::move(socket)) {}

  std::string folder_;
  std::string path_;
  Descriptor socket_;
};

/// A connection to the helper that serves a mount; NotFound when there is none.
Result<Descriptor> connect_to_helper(const MountEntry& mount);

/// BadUsage when the path is too long for a socket.
Result<sockaddr_un> socket_address(const std::string& path);

}  // namespace flatimg::flat
