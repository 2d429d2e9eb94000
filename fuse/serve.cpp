// The life of a mount, in order: paths, forks, confinement, signals, image, mount, ready, serving, closing, verdict.
// README.md says which of the two processes does what.
//
// The image is opened before anything is mounted: the image, or what it names, may lie beneath the mountpoint. The
// forks come before the image, because its threads and its locks belong to one process.
#include "fuse/serve.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/log.h"
#include "base/text.h"
#include "catalog/explain.h"
#include "catalog/open.h"
#include "fuse/confined_look.h"
#include "fuse/control.h"
#include "fuse/exported.h"
#include "fuse/handed_connection.h"
#include "fuse/mount_table.h"
#include "fuse/new_overlay.h"
#include "fuse/process.h"
#include "fuse/reach.h"
#include "fuse/session.h"
#include "fuse/shutdown.h"
#include "fuse/supervisor.h"
#include "fuse/tree/tree.h"
#include "fuse/unpack_errands.h"
#include "host/gate.h"

namespace flatimg::flat {

namespace {

/// The request with what only the user's process knows: the current folder.
struct Place {
  std::string source;      // absolute
  std::string mountpoint;  // canonical; for people only where there is a loop device instead
  std::optional<Partitions> loop = {};
  std::optional<int> handed = {};  // the connection of somebody else's mount
  Shape shape = Shape::Directory;
  bool is_tree = false;  // the source is a directory
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

/// Once more the same at the same place is a slip, as it is for mount(8).
Result<void> must_not_be_there_already(const Place& place) {
  const auto entry = mount_at(place.mountpoint);
  if (!entry || !entry->is_ours() || entry->source != place.source) return {};
  return fail(ErrorKind::Busy, "{}: is mounted on {} already: unmount it there first", shown(place.source),
              shown(place.mountpoint));
}

/// Absolute, and without a slash at the end.
std::string source_path(const std::string& given) {
  std::error_code failed;
  const auto path = std::filesystem::absolute(given, failed).lexically_normal();
  return (path.has_filename() || path == path.root_path() ? path : path.parent_path()).string();
}

Result<Shape> shape_of(const std::string& mountpoint) {
  TRY(const struct stat found, look_at(mountpoint));
  if (S_ISDIR(found.st_mode)) return Shape::Directory;
  if (S_ISREG(found.st_mode)) return Shape::File;
  return fail(ErrorKind::BadUsage, "{}: a mountpoint is a directory or a regular file", shown(mountpoint));
}

/// What a dead helper has left on the mountpoint goes first: it may lie over the source itself.
Result<Place> find_place(const MountRequest& request) {
  Place place;
  place.loop = request.loop;
  place.handed = handed_connection(request.mountpoint);
  if (place.handed) {
    CHECK(check_handed(*place.handed));
    place.mountpoint = request.mountpoint;
  } else if (!place.loop) {
    TRY(place.mountpoint, canonical_mountpoint(request.mountpoint));
    CHECK(clear_dead_mount(place.mountpoint));
  }
  TRY(const struct stat source, look_at(request.source));
  place.is_tree = S_ISDIR(source.st_mode);
  place.source = source_path(request.source);
  if (place.loop) {
    place.mountpoint = fmt::format("(a loop device on {})", place.source);
    if (!place.is_tree) return place;
    return fail(ErrorKind::BadUsage, "{}: a directory cannot be attached: mount it", shown(request.source));
  }
  if (place.handed) return place;
  CHECK(must_not_be_there_already(place));
  TRY(place.shape, shape_of(place.mountpoint));
  if (place.is_tree && place.shape == Shape::File) {
    return fail(ErrorKind::BadUsage, "{}: a directory of images is mounted on a directory", shown(request.mountpoint));
  }
  return place;
}

/// The file that people may write to when they write to the disk.
std::string file_of_disk(const Place& place, const MountOptions& options) {
  std::error_code failed;
  if (options.overlay && std::filesystem::exists(*options.overlay, failed)) return *options.overlay;
  return place.source;
}

std::string flat_name(const Place& place, const MountOptions& options) {
  return std::filesystem::path(place.source).filename().string() + options.suffix;
}

/// Where zstd files are unpacked to that have to be.
std::shared_ptr<UnpackedFiles> unpacked_files(const Place& place, const MountOptions& options, Errands& errands) {
  if (!options.unpack) return nullptr;
  const std::string where = options.unpack_directory.empty() ? CacheDirectory::usual_path() : options.unpack_directory;
  return std::make_shared<SupervisedUnpackedFiles>(errands, place.source, where);
}

Result<std::unique_ptr<Mounted>> open_image(const Place& place, const MountOptions& options,
                                            std::shared_ptr<const Secret> passphrase, Errands& errands) {
  catalog::OpenRequest request = open_request(place.source, options);
  request.unpacked_files = unpacked_files(place, options, errands);
  request.unpack_size = options.unpack_size;
  request.passphrase = std::move(passphrase);
  TRY(catalog::Opened opened, catalog::open_image(request));
  const bool enciphered =
      std::ranges::any_of(opened.chain, [](const auto& image) { return image->traits().enciphered; });
  if (!enciphered) request.passphrase.reset();
  TRY(const struct stat image, look_at(file_of_disk(place, options)));
  for (const std::string& note : opened.notes) log(LogLevel::Warning, "{}", note);
  auto disk = std::make_unique<Disk>(std::move(opened.chain), options.disk);
  TRY(SecondLook look, SecondLook::at(place.source, options, std::move(request.passphrase)));
  Names names(place.shape, flat_name(place, options));
  auto exported = std::make_unique<Exported>(std::move(disk), std::move(look), std::move(names), image, options);
  exported->source = place.source;
  if (exported->disk.writable()) exported->written = file_of_disk(place, options);
  exported->mountpoint = place.mountpoint;
  exported->format = opened.format;
  return std::unique_ptr<Mounted>(std::move(exported));
}

Result<std::unique_ptr<Mounted>> open_source(const Place& place, const MountOptions& options,
                                             std::shared_ptr<const Secret> passphrase, Errands& errands) {
  if (!place.is_tree) return open_image(place, options, std::move(passphrase), errands);
  return tree::open_tree(place.source, place.mountpoint, options, std::move(passphrase));
}

std::unique_ptr<Control> open_control(Mounted& mounted, Errands& errands, Errands::Announced& announced) {
  if (!announced.control.valid()) return nullptr;
  return std::make_unique<Control>(mounted, errands, std::move(announced.control));
}

/// The mount does not answer, or nobody is there to tell: what was written meanwhile goes to the image.
Failure give_up(Session& session, Mounted& mounted, Error why) {
  session.fetch_pages();
  session.workers().stop();
  if (const auto closed = mounted.close(); !closed) log(LogLevel::Error, "{}", closed.error().text);
  return Failure(std::move(why));
}

/// From the mount to the last flush.
Result<void> mount_and_serve(std::unique_ptr<Mounted> mounted, const MountOptions& options, Shutdown& shutdown,
                             Errands& errands) {
  shutdown.mounting();
  CHECK(check_transport(options.transport));
  TRY(Descriptor connection, errands.mount());
  TRY(std::unique_ptr<Session> session, Session::start(*mounted, options, std::move(connection)));
  auto announced = errands.announce();
  if (!announced) return give_up(*session, *mounted, announced.error());
  mounted->answers(announced->device, errands);
  const std::unique_ptr<Control> control = open_control(*mounted, errands, *announced);
  shutdown.serving(*session, *mounted, errands);
  session->workers().wait();
  errands.closing();
  shutdown.closing();
  if (control) control->end_changes();
  Result<void> closed = mounted->close();
  if (control) control->forget_disk();
  session.reset();
  mounted.reset();  // the locks go with it, before anybody hears that it is over
  if (control) control->finish(closed);
  return closed;
}

/// Before the first thread, and before the first byte of an image is read.
Confinement confined(const Place& place, const MountOptions& options) {
  if (!options.sandbox) return {};
  Confinement confinement = confine(files_of_mount(place.source, options));
  for (const std::string& what : confinement.missing) log(LogLevel::Warning, "not all of the sandbox: {}", what);
  return confinement;
}

/// The image cannot be opened for `why`: whatever else stands in the way is told at the same time.
void say_what_else(const Place& place, const MountOptions& options, const Error& why) {
  if (place.is_tree || options.overlay || options.backing || options.snapshot) return;
  catalog::InspectRequest look{place.source, options.format, options.allowed_directories, catalog::Locks::Ignore};
  for (const catalog::Problem& problem : catalog::explain(look, catalog::Reach::Chain).problems) {
    const bool said = why.text.find(problem.text) != std::string::npos;
    if (problem.weight != catalog::Problem::Weight::Refusal || said) continue;
    const std::string image = problem.text.starts_with(shown(problem.image)) ? "" : shown(problem.image) + ": ";
    log(LogLevel::Error, "{}{}", image, problem.text);
  }
}

Result<void> run_worker(const Place& place, MountRequest request, Errands& errands) {
  harden_process();
  const auto by_errand = [&](int fd, LockWorld world, HostOffset at) {
    return errands.find_lock_holder(fd, world, at);
  };
  ask_for_lock_holders(by_errand);
  Confinement confinement = confined(place, request.options);
  Shutdown shutdown;
  auto opened = open_source(place, request.options, std::move(request.passphrase), errands);
  if (!opened) {
    say_what_else(place, request.options, opened.error());
    return Failure(std::move(opened.error()));
  }
  std::unique_ptr<Mounted> mounted = *std::move(opened);
  mounted->confinement = std::move(confinement);
  return mount_and_serve(std::move(mounted), request.options, shutdown, errands);
}

MountPlan plan_of(const Place& place, const MountOptions& options) {
  std::string flat_path = place.mountpoint;
  if (place.shape == Shape::Directory && !place.is_tree) flat_path += "/" + flat_name(place, options);
  if (place.loop) flat_path = flat_name(place, options);
  return {place.source, place.mountpoint, std::move(flat_path), place.shape, options, place.loop, place.handed};
}

int told(const Result<void>& outcome) {
  if (outcome) return 0;
  log(LogLevel::Error, "{}", outcome.error().text);
  return 1;
}

int be_worker(const Place& place, MountRequest request, Run run, Channel channel) {
  Errands errands(std::move(channel));
  send_log_to([&errands](LogLevel level, std::string_view line) { errands.log(level, line); }, LogLevel::Info);
  if (run == Run::Background) silence_streams();
  const int exit_code = told(run_worker(place, std::move(request), errands));
  send_log_to({}, LogLevel::Error);
  return exit_code;
}

/// Returns in both processes.
int run_both(const Place& place, MountRequest request, Run run, Verdict verdict) {
  auto channels = Channel::make();
  if (!channels) return told(Failure(channels.error()));
  auto& [ours, workers] = *channels;
  const auto overlay = NewOverlay::for_mount(place.source, request.options);
  if (!overlay) return told(Failure(overlay.error()));
  hold_supervisor_signals();
  const auto worker = fork_worker();
  if (!worker) return told(Failure(worker.error()));
  if (*worker == 0) {
    verdict = Verdict();
    ours = Channel();
    if (place.handed) ::close(*place.handed);  // it comes back when the mount is to be served
    return be_worker(place, std::move(request), run, std::move(workers));
  }
  request.passphrase.reset();
  workers = Channel();
  close_all_but({ours.descriptor().get(), verdict.descriptor(), place.handed.value_or(-1)});
  const int exit_code = supervise(*worker, std::move(ours), plan_of(place, request.options), std::move(verdict));
  overlay->take_back_if_empty();
  return exit_code;
}

}  // namespace

Result<void> check_request(const MountRequest& request) {
  CHECK(look_at(request.source));
  if (const auto handed = handed_connection(request.mountpoint)) return check_handed(*handed);
  CHECK(canonical_mountpoint(request.mountpoint));
  return {};
}

int serve(MountRequest request, Run run, const std::function<void(const std::string& device)>& when_ready) {
  const auto place = find_place(request);
  if (!place) return told(Failure(place.error()));
  if (run == Run::Foreground) return run_both(*place, std::move(request), run, Verdict());
  const bool named = std::ranges::find(request.options.allowed_directories, Gate::kDescriptors) !=
                     request.options.allowed_directories.end();
  auto forked = fork_helper(named || place->handed ? Inherited::Keep : Inherited::Close);
  if (const auto* parent = std::get_if<ParentDone>(&forked)) {
    if (parent->exit_code == 0 && when_ready) when_ready(parent->news);
    return parent->exit_code;
  }
  auto verdict = std::get<Verdict>(std::move(forked));
  if (place->handed && !named) close_all_but({verdict.descriptor(), *place->handed});
  return run_both(*place, std::move(request), run, std::move(verdict));
}

}  // namespace flatimg::flat
