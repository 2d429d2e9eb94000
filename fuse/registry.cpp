// Folders and names of control sockets.
#include "fuse/registry.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/text.h"

namespace flatimg::flat {

namespace {

/// The folders in which a user's sockets may be.
std::vector<std::string> folders_of(uid_t user) {
  std::vector<std::string> folders;
  if (user == 0) folders.emplace_back("/run/flatimg");
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (user != 0 && user == geteuid() && runtime != nullptr && runtime[0] == '/') {
    folders.push_back(std::string(runtime) + "/flatimg");
  }
  if (user != 0 && user != geteuid()) folders.push_back(fmt::format("/run/user/{}/flatimg", user));
  folders.push_back(fmt::format("/tmp/flatimg-{}", user));
  return folders;
}

/// A folder in /tmp can be anybody's: what is in it is believed only when it is that user's own and closed to others.
Result<void> check_folder(const std::string& folder, uid_t user) {
  struct stat found {};
  if (lstat(folder.c_str(), &found) != 0) return fail_os(errno, "{}", shown(folder));
  if (!S_ISDIR(found.st_mode) || found.st_uid != user || (found.st_mode & 0077) != 0) {
    return fail(ErrorKind::Denied, "{}: not a folder of user {} that is closed to others (mode 0700)", shown(folder),
                user);
  }
  return {};
}

/// Waits for a place in the queue of a helper that is busy for so long only: it may be stopped, and not the one that is
/// looked for.
Result<Descriptor> connect_to(const std::string& path, timeval patience) {
  TRY(const sockaddr_un address, socket_address(path));
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return fail_os(errno, "making a socket");
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail_os(errno, "{}", shown(path));
  }
  return socket;
}

/// Nobody else names or removes sockets in the folder while it lives. Without the lock, one that was found dead could
/// be somebody's new one, of the same number, by the time it is removed.
Descriptor lock_folder(const std::string& folder) {
  Descriptor locked(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (flock(locked.get(), LOCK_EX) != 0 && errno == EINTR) continue;
  return locked;
}

/// Removes a socket on which nobody listens. The folder is locked.
void remove_if_stale(const std::string& path) {
  const auto answered = connect_to(path, {0, 1000});
  if (!answered && answered.error().os_error == ECONNREFUSED) ::unlink(path.c_str());
}

void remove_stale_sockets(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".sock") remove_if_stale(entry.path());
  }
}

}  // namespace

Result<std::string> own_registry() {
  Error last{ErrorKind::NotFound, 0, "no folder for control sockets"};
  for (const std::string& folder : folders_of(geteuid())) {
    mkdir(folder.c_str(), 0700);
    if (auto good = check_folder(folder, geteuid()); good)
      return folder;
    else
      last = std::move(good.error());
  }
  return Failure(std::move(last));
}

std::string socket_name(dev_t device) { return fmt::format("{}-{}.sock", major(device), minor(device)); }

std::vector<dev_t> devices_with_sockets() {
  std::vector<dev_t> devices;
  std::error_code ignored;
  for (const std::string& folder : folders_of(geteuid())) {
    if (!check_folder(folder, geteuid())) continue;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      unsigned number[2] = {};
      if (std::sscanf(entry.path().filename().c_str(), "%u-%u.sock", &number[0], &number[1]) != 2) continue;
      if (const dev_t device = makedev(number[0], number[1]); socket_name(device) == entry.path().filename()) {
        devices.push_back(device);
      }
    }
  }
  return devices;
}

Result<Descriptor> connect_to_helper(const MountEntry& mount) {
  const uid_t mounter = mount.mounter.value_or(geteuid());
  const std::string name = socket_name(makedev(mount.device_major, mount.device_minor));
  for (const std::string& folder : folders_of(mounter)) {
    if (!check_folder(folder, mounter)) continue;
    if (auto connection = connect_to(folder + "/" + name, {2, 0})) return connection;
  }
  return fail(ErrorKind::NotFound, "{}: no helper answers for this mount", shown(mount.mountpoint));
}

Result<ControlSocket> ControlSocket::listen(dev_t device) {
  TRY(const std::string folder, own_registry());
  return listen(folder, device);
}

Result<ControlSocket> ControlSocket::listen(const std::string& folder, dev_t device) {
  constexpr int kMostWaiting = 32;
  const Descriptor locked = lock_folder(folder);
  remove_stale_sockets(folder);
  const std::string path = folder + "/" + socket_name(device);
  // Between bind and listen it would refuse those who look for it: it gets its name when it listens.
  const std::string unnamed = path + ".new";
  TRY(const sockaddr_un address, socket_address(unnamed));
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return fail_os(errno, "making the control socket");
  ::unlink(unnamed.c_str());  // the number is ours now: whoever had it is gone
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(socket.get(), kMostWaiting) != 0 || ::rename(unnamed.c_str(), path.c_str()) != 0) {
    return fail_os(errno, "control socket {}", path);
  }
  return ControlSocket(folder, path, std::move(socket));
}

void ControlSocket::remove() const {
  const Descriptor locked = lock_folder(folder_);
  remove_if_stale(path_);
}

Result<sockaddr_un> socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return fail(ErrorKind::BadUsage, "{}: too long for a socket", shown(path));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace flatimg::flat
