// The life of a mount, in order: paths, fork, signals, image, mount, ready, serving, closing, verdict.
//
// The image is opened before anything is mounted: the image, or what it names, may lie beneath the mountpoint. The fork
// comes before the image, because its threads and its locks belong to one process.
#include "fuse/serve.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/log.h"
#include "base/text.h"
#include "catalog/open.h"
#include "fuse/control.h"
#include "fuse/mount_table.h"
#include "fuse/process.h"
#include "fuse/session.h"
#include "fuse/shutdown.h"
#include "host/gate.h"

namespace flatimg::flat {

namespace {

/// The request with what only the user's process knows: the current folder.
struct Place {
  std::string source;      // absolute
  std::string mountpoint;  // canonical
  Shape shape = Shape::Directory;
};

Result<struct stat> look_at(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return fail_os(errno, "{}", shown(path));
  return found;
}

/// A mount of ours whose helper has died is in the way; nobody else can want it.
Result<void> clear_dead_mount(const std::string& mountpoint) {
  if (!is_dead_mount(mountpoint)) return {};
  const auto entry = mount_at(mountpoint);
  if (!entry || !entry->is_ours()) {
    return fail(ErrorKind::Busy, "{}: a dead mount that is not ours lies there. Unmount it first", shown(mountpoint));
  }
  CHECK(unmount(mountpoint, Unmount::Lazily));
  log(LogLevel::Warning, "{}: unmounted what a dead helper had left there", shown(mountpoint));
  return clear_dead_mount(mountpoint);
}

Result<Shape> shape_of(const std::string& mountpoint) {
  TRY(const struct stat found, look_at(mountpoint));
  if (S_ISDIR(found.st_mode)) return Shape::Directory;
  if (S_ISREG(found.st_mode)) return Shape::File;
  return fail(ErrorKind::BadUsage, "{}: a mountpoint is a directory or a regular file", shown(mountpoint));
}

Result<Place> find_place(const MountRequest& request) {
  TRY(const struct stat source, look_at(request.source));
  if (S_ISDIR(source.st_mode)) {
    return fail(ErrorKind::Unsupported, "{}: this version of flatimg cannot mount a directory of images",
                shown(request.source));
  }
  Place place;
  std::error_code failed;
  place.source = std::filesystem::absolute(request.source, failed).lexically_normal();
  TRY(place.mountpoint, canonical_mountpoint(request.mountpoint));
  CHECK(clear_dead_mount(place.mountpoint));
  TRY(place.shape, shape_of(place.mountpoint));
  return place;
}

catalog::OpenRequest open_request(const Place& place, const MountOptions& options) {
  catalog::OpenRequest request;
  request.path = place.source;
  request.format = options.format;
  request.access = options.read_only ? Access::ReadOnly : Access::ReadWrite;
  request.allowed_directories = options.allowed_directories;
  request.backing = options.backing;
  request.snapshot = options.snapshot;
  request.overlay = options.overlay;
  request.cache_size = options.cache_size;
  request.flush_interval = options.flush_interval;
  request.locks = options.locks;
  return request;
}

/// An image that is open, and how it is shown.
struct Shown {
  std::unique_ptr<Disk> disk;
  std::unique_ptr<Exported> exported;
};

/// The file that people may write to when they write to the disk.
std::string file_of_disk(const Place& place, const MountOptions& options) {
  std::error_code failed;
  if (options.overlay && std::filesystem::exists(*options.overlay, failed)) return *options.overlay;
  return place.source;
}

Result<Shown> open_source(const Place& place, const MountOptions& options, std::shared_ptr<const Secret> passphrase) {
  catalog::OpenRequest request = open_request(place, options);
  request.passphrase = std::move(passphrase);
  TRY(catalog::Opened opened, catalog::open_image(request));
  request.passphrase.reset();
  TRY(const struct stat image, look_at(file_of_disk(place, options)));
  for (const std::string& note : opened.notes) log(LogLevel::Warning, "{}", note);
  Shown result;
  result.disk = std::make_unique<Disk>(std::move(opened.chain), options.disk);
  const std::string name = std::filesystem::path(place.source).filename().string() + options.suffix;
  result.exported = std::make_unique<Exported>(*result.disk, Names(place.shape, name), image, options);
  result.exported->source = place.source;
  if (result.disk->writable()) result.exported->written = file_of_disk(place, options);
  result.exported->mountpoint = place.mountpoint;
  result.exported->format = opened.format;
  return result;
}

/// The mount answers: whoever waits for that is told.
void announce(Verdict& verdict) {
  verdict.ready();
  notify_service_manager("READY=1");
}

std::unique_ptr<Control> open_control(const Exported& exported, dev_t device) {
  auto control = Control::listen(exported, device);
  if (control) return *std::move(control);
  log(LogLevel::Warning, "no `flatimg status` for this mount: {}", control.error().text);
  return nullptr;
}

/// From the mount to the last flush.
Result<void> mount_and_serve(Shown shown_image, const MountOptions& options, Shutdown& shutdown, Verdict verdict) {
  Exported& exported = *shown_image.exported;
  shutdown.mounting();
  TRY(std::unique_ptr<Session> session, Session::mount(exported, options));
  CHECK(session->find_device());
  const std::unique_ptr<Control> control = open_control(exported, session->device());
  shutdown.serving(*session, exported);
  announce(verdict);
  session->workers().wait();
  notify_service_manager("STOPPING=1");
  shutdown.closing();
  if (control) control->end_changes();
  Result<void> closed = exported.disk.close();
  if (control) control->forget_disk();
  session.reset();
  shown_image.exported.reset();
  shown_image.disk.reset();  // the locks go with it, before anybody hears that it is over
  if (control) control->finish(closed);
  return closed;
}

Result<void> run_helper(const Place& place, MountRequest request, Verdict verdict) {
  harden_process();
  Shutdown shutdown;
  TRY(Shown shown_image, open_source(place, request.options, std::move(request.passphrase)));
  return mount_and_serve(std::move(shown_image), request.options, shutdown, std::move(verdict));
}

int told(const Result<void>& outcome) {
  if (outcome) return 0;
  log(LogLevel::Error, "{}", outcome.error().text);
  return 1;
}

}  // namespace

Result<void> check_request(const MountRequest& request) {
  CHECK(look_at(request.source));
  CHECK(canonical_mountpoint(request.mountpoint));
  return {};
}

int serve(MountRequest request, Run run) {
  const auto place = find_place(request);
  if (!place) return told(Failure(place.error()));
  if (run == Run::Foreground) return told(run_helper(*place, std::move(request), Verdict()));
  const bool named = std::ranges::find(request.options.allowed_directories, Gate::kDescriptors) !=
                     request.options.allowed_directories.end();
  auto forked = fork_helper(named ? Inherited::Keep : Inherited::Close);
  if (const auto* parent = std::get_if<ParentDone>(&forked)) return parent->exit_code;
  return told(run_helper(*place, std::move(request), std::get<Verdict>(std::move(forked))));
}

}  // namespace flatimg::flat
