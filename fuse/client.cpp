// The other end of the control socket.
#include "fuse/client.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "fuse/loop_device.h"
#include "fuse/registry.h"

namespace flatimg::flat {

namespace {

constexpr int kPatience = 2;  // seconds for a helper that may have nothing to do with us

Result<void> say(const Descriptor& connection, std::string_view word) {
  if (::send(connection.get(), word.data(), word.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(word.size())) return {};
  return fail_os(errno, "talking to the helper");
}

/// What the helper says until it ends the connection, or until a line has come.
enum class HearUntil { Line, End };
std::string hear(const Descriptor& connection, HearUntil until) {
  std::string heard;
  std::array<char, 4096> bytes{};
  while (until == HearUntil::End || !heard.ends_with('\n')) {
    const ssize_t got = ::recv(connection.get(), bytes.data(), until == HearUntil::Line ? 1 : bytes.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    heard.append(bytes.data(), static_cast<std::size_t>(got));
  }
  return heard;
}

/// What the mount writes to; empty when nothing, or when its helper does not answer soon.
std::string written_file(const MountEntry& mount) {
  const auto connection = connect_to_helper(mount);
  if (!connection) return {};
  const timeval patience{kPatience, 0};
  setsockopt(connection->get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (!say(*connection, "status\n")) return {};
  const auto status = nlohmann::json::parse(hear(*connection, HearUntil::End), nullptr, false);
  return status.is_object() ? status.value("written-file", std::string()) : std::string();
}

/// A path beneath the mountpoint; empty when it does not lie there.
std::string place_in(const MountEntry& mount, const std::string& path) {
  std::error_code failed;
  const std::string canonical = std::filesystem::canonical(path, failed).string();
  const std::string front = mount.mountpoint + "/";
  return !failed && canonical.starts_with(front) ? canonical.substr(front.size()) : std::string();
}

Result<void> request_change(const MountEntry& mount, std::string_view word, const std::string& path,
                            const std::string& name) {
  std::string argument = name;
  if (const std::string place = place_in(mount, path); !place.empty()) argument.append(1, '\0').append(place);
  if (argument.find('\n') != std::string::npos) {
    return fail(ErrorKind::BadUsage, "a name with a line end in it: unmount the image first");
  }
  TRY(const Descriptor connection, connect_to_helper(mount));
  CHECK(say(connection, fmt::format("{} {}\n", word, argument)));
  const std::string outcome = hear(connection, HearUntil::End);
  if (outcome == "ok\n") return {};
  if (outcome.empty()) return fail(ErrorKind::Io, "{}: the helper died meanwhile", shown(mount.mountpoint));
  return fail(ErrorKind::Io, "{}", std::string_view(outcome).substr(0, outcome.size() - 1));
}

Result<std::string> without_helper(const MountEntry& mount, Unmount how, const Error& why) {
  if (is_dead_mount(mount.mountpoint)) {
    CHECK(unmount(mount.mountpoint, Unmount::Lazily));
    return fmt::format("{}: the helper had died; unmounted what it had left. What was not flushed is lost",
                       shown(mount.mountpoint));
  }
  CHECK(unmount(mount.mountpoint, how));
  return why.text + ": unmounted without waiting for the last flush";
}

MountEntry entry_of(dev_t device, std::string name) {
  return {std::move(name), "fuse.flatimg", "", major(device), minor(device), std::nullopt};
}

bool is_block_device(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISBLK(found.st_mode);
}

Result<MountEntry> mount_behind(const std::string& device) {
  TRY(const dev_t file_system, file_system_behind(device));
  MountEntry entry = entry_of(file_system, device);
  if (connect_to_helper(entry)) return entry;
  return fail(ErrorKind::NotFound, "{}: was not attached by flatimg attach", shown(device));
}

/// Mounts with and without a mountpoint whose helpers this user may ask.
std::vector<MountEntry> all_helpers() {
  std::vector<MountEntry> helpers = all_mounts();
  std::erase_if(helpers, [](const MountEntry& mount) { return !mount.is_ours(); });
  for (const dev_t device : devices_with_sockets()) {
    const auto is_it = [&](const MountEntry& mount) {
      return makedev(mount.device_major, mount.device_minor) == device;
    };
    if (std::ranges::none_of(helpers, is_it)) helpers.push_back(entry_of(device, "an attached image"));
  }
  return helpers;
}

/// The answer to "wait", once it is over.
Result<void> final_outcome(const Descriptor& connection, const std::string& name) {
  const std::string outcome = hear(connection, HearUntil::End);
  if (outcome == "ok\n") return {};
  if (outcome.empty()) return fail(ErrorKind::Io, "{}: the helper died before the image was final", shown(name));
  return fail(ErrorKind::Io, "{}: the last flush failed: {}", shown(name),
              std::string_view(outcome).substr(0, outcome.size() - 1));
}

Result<pid_t> process_behind(const Descriptor& connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) return peer.pid;
  return fail_os(errno, "asking who serves a mount");
}

}  // namespace

Result<MountEntry> find_mount(const std::string& path) {
  if (is_block_device(path)) return mount_behind(path);
  TRY(const std::string mountpoint, canonical_mountpoint(path));
  auto entry = mount_at(mountpoint);
  if (!entry || !entry->is_ours()) return fail(ErrorKind::NotFound, "{}: no flatimg mount is there", shown(path));
  return *std::move(entry);
}

std::optional<MountEntry> mount_around(const std::string& path) {
  if (is_block_device(path)) {
    auto behind = mount_behind(path);
    return behind ? std::optional(*std::move(behind)) : std::nullopt;
  }
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  for (MountEntry& mount : all_mounts()) {
    if (mount.is_ours() && makedev(mount.device_major, mount.device_minor) == found.st_dev) return std::move(mount);
  }
  return std::nullopt;
}

std::optional<MountEntry> mount_writing(const std::string& image) {
  for (MountEntry& mount : all_helpers()) {
    const std::string file = written_file(mount);
    std::error_code failed;
    if (!file.empty() && std::filesystem::equivalent(file, image, failed)) return std::move(mount);
  }
  return std::nullopt;
}

Result<void> create_snapshot(const MountEntry& mount, const std::string& path, const std::string& name) {
  return request_change(mount, "snapshot-create", path, name);
}

Result<void> delete_snapshot(const MountEntry& mount, const std::string& path, const std::string& name) {
  return request_change(mount, "snapshot-delete", path, name);
}

Result<std::string> ask_status(const MountEntry& mount) {
  TRY(const Descriptor connection, connect_to_helper(mount));
  CHECK(say(connection, "status\n"));
  const std::string text = hear(connection, HearUntil::End);
  if (text.empty()) return fail(ErrorKind::NotFound, "{}: the mount is ending", shown(mount.mountpoint));
  return text;
}

Result<std::string> unmount_and_wait(const MountEntry& mount, Unmount how) {
  auto connection = connect_to_helper(mount);
  if (!connection) return without_helper(mount, how, connection.error());
  CHECK(say(*connection, "wait\n"));
  (void)hear(*connection, HearUntil::Line);  // "waiting": it has heard us, before the mount goes away
  CHECK(unmount(mount.mountpoint, how));
  CHECK(final_outcome(*connection, mount.mountpoint));
  return std::string();
}

Result<void> detach_and_wait(const std::string& device) {
  TRY(const MountEntry mount, mount_behind(device));
  CHECK(settle_device(device));
  TRY(const Descriptor connection, connect_to_helper(mount));
  TRY(const pid_t supervisor, process_behind(connection));  // who listens is who was there first
  CHECK(say(connection, "wait\n"));
  (void)hear(connection, HearUntil::Line);
  if (::kill(supervisor, SIGTERM) != 0) return fail_os(errno, "{}: ending its helper", shown(device));
  return final_outcome(connection, device);
}

}  // namespace flatimg::flat
