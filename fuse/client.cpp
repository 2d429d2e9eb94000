// The other end of the control socket.
#include "fuse/client.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/text.h"
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

Result<void> request_change(const MountEntry& mount, std::string_view word, const std::string& argument) {
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

}  // namespace

Result<MountEntry> find_mount(const std::string& path) {
  TRY(const std::string mountpoint, canonical_mountpoint(path));
  auto entry = mount_at(mountpoint);
  if (!entry || !entry->is_ours()) return fail(ErrorKind::NotFound, "{}: no flatimg mount is there", shown(path));
  return *std::move(entry);
}

std::optional<MountEntry> mount_around(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  for (MountEntry& mount : all_mounts()) {
    if (mount.is_ours() && makedev(mount.device_major, mount.device_minor) == found.st_dev) return std::move(mount);
  }
  return std::nullopt;
}

std::optional<MountEntry> mount_writing(const std::string& image) {
  for (MountEntry& mount : all_mounts()) {
    const std::string file = mount.is_ours() ? written_file(mount) : std::string();
    std::error_code failed;
    if (!file.empty() && std::filesystem::equivalent(file, image, failed)) return std::move(mount);
  }
  return std::nullopt;
}

Result<void> create_snapshot(const MountEntry& mount, const std::string& name) {
  return request_change(mount, "snapshot-create", name);
}

Result<void> delete_snapshot(const MountEntry& mount, const std::string& name) {
  return request_change(mount, "snapshot-delete", name);
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
  const std::string outcome = hear(*connection, HearUntil::End);
  if (outcome == "ok\n") return std::string();
  if (outcome.empty()) {
    return fail(ErrorKind::Io, "{}: the helper died before the image was final", shown(mount.mountpoint));
  }
  return fail(ErrorKind::Io, "{}: the last flush failed: {}", shown(mount.mountpoint),
              std::string_view(outcome).substr(0, outcome.size() - 1));
}

}  // namespace flatimg::flat
