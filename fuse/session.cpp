// Making and ending a connection.
#include "fuse/session.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "base/log.h"
#include "base/text.h"
#include "fuse/libfuse.h"
#include "fuse/mount_table.h"
#include "fuse/operations.h"
#include "host/posix_file.h"

namespace flatimg::flat {

namespace {

constexpr unsigned kFewestThreads = 4;

unsigned thread_count(const MountOptions& options) {
  return options.threads.value_or(std::max(kFewestThreads, std::thread::hardware_concurrency()));
}

void log_for_libfuse(fuse_log_level level, const char* format, va_list arguments) {
  std::array<char, 512> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  std::string text = shown_shortened(line.data(), line.size());
  while (text.ends_with("\\x0a")) text.resize(text.size() - 4);
  log_line(level <= FUSE_LOG_ERR ? LogLevel::Error : LogLevel::Debug, text);
}

fuse_session* new_session(Exported& exported, const MountOptions& options) {
  fuse_set_log_func(log_for_libfuse);
  fuse_args arguments{};
  for (const std::string& word : session_arguments(exported, options)) fuse_opt_add_arg(&arguments, word.c_str());
  fuse_session* session = fuse_session_new(&arguments, &operations(), sizeof(fuse_lowlevel_ops), &exported);
  fuse_opt_free_args(&arguments);
  return session;
}

/// What is written to standard error while this lives: libfuse and fusermount3 explain themselves there only.
class CapturedErrors {
 public:
  CapturedErrors() : memory_(memfd_create("errors", MFD_CLOEXEC)), before_(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
    if (memory_.valid() && before_.valid()) dup2(memory_.get(), STDERR_FILENO);
  }
  ~CapturedErrors() { restore(); }
  CapturedErrors(const CapturedErrors&) = delete;
  CapturedErrors& operator=(const CapturedErrors&) = delete;

  /// One line, without the ends of lines; standard error is what it was again.
  std::string text() {
    restore();
    std::array<char, 2048> bytes{};
    const ssize_t got = pread(memory_.get(), bytes.data(), bytes.size(), 0);
    std::string line(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    while (line.ends_with('\n')) line.pop_back();
    std::ranges::replace(line, '\n', ';');
    for (const std::string_view prefix : {"flatimg: ", "fuse: "}) {
      if (line.starts_with(prefix)) line.erase(0, prefix.size());
    }
    return line.empty() ? "no reason was given" : line;
  }

 private:
  void restore() {
    if (before_.valid()) dup2(before_.get(), STDERR_FILENO);
    before_ = Descriptor();
  }
  Descriptor memory_;
  Descriptor before_;
};

Result<void> mount_session(fuse_session* session, const Exported& exported, const MountOptions& options) {
  CapturedErrors captured;
  if (fuse_session_mount(session, exported.mountpoint.c_str()) == 0) return {};
  const std::string why = captured.text();
  if (options.allow_other && geteuid() != 0 && why.find("/etc/fuse.conf") == std::string::npos) {
    return fail(ErrorKind::Denied, "mounting on {}: {}. allow_other needs the line user_allow_other in /etc/fuse.conf",
                shown(exported.mountpoint), why);
  }
  return fail(ErrorKind::Denied, "mounting on {}: {}", shown(exported.mountpoint), why);
}

Result<struct stat> look_at(const std::string& path) {
  struct stat result {};
  if (::stat(path.c_str(), &result) != 0) return fail_os(errno, "{}", shown(path));
  return result;
}

/// The kernel has taken the connection away: unmounted, or aborted.
bool connection_is_gone(fuse_session* session) {
  pollfd polled{fuse_session_fd(session), 0, 0};
  return poll(&polled, 1, 0) == 1 && (polled.revents & POLLERR) != 0;
}

}  // namespace

std::vector<std::string> session_arguments(const Exported& exported, const MountOptions& options) {
  std::vector<std::string> words{"flatimg", "-onosuid,nodev,noexec,default_permissions"};
  words.push_back("-ofsname=" + escaped_for_list(options.fsname.value_or(exported.source)));
  words.push_back("-osubtype=" + escaped_for_list(options.subtype.value_or("flatimg")));
  if (options.read_only) words.emplace_back("-oro");
  if (options.allow_other) words.emplace_back("-oallow_other");
  if (options.max_read) words.push_back(fmt::format("-omax_read={}", *options.max_read));
  if (kLibraryHasUring && options.transport == Transport::Uring) words.emplace_back("-oio_uring");
  for (const std::string& word : options.kernel_words) words.push_back("-o" + word);
  return words;
}

Result<std::unique_ptr<Session>> Session::mount(Exported& exported, const MountOptions& options) {
  if (options.transport == Transport::Uring && !kLibraryHasUring) {
    return fail(ErrorKind::Unsupported,
                "option io=uring: this flatimg was built with libfuse {}, which cannot do that (3.18 can)",
                fuse_pkgversion());
  }
  fuse_session* raw = new_session(exported, options);
  if (raw == nullptr) return fail(ErrorKind::BadUsage, "libfuse does not take the mount options");
  if (auto mounted = mount_session(raw, exported, options); !mounted) {
    fuse_session_destroy(raw);
    return Failure(std::move(mounted.error()));
  }
  std::unique_ptr<Session> session(new Session(exported, raw));
  exported.session = raw;
  exported.worker_threads = thread_count(options);
  session->workers_ = std::make_unique<Workers>(raw, exported.worker_threads);
  return session;
}

Session::~Session() {
  if (workers_) workers_->stop();
  const bool gone = connection_is_gone(session_);
  if (ready_ && is_mounted()) (void)unmount(exported_.mountpoint, Unmount::Lazily);  // aborted, or workers failed
  workers_.reset();
  exported_.session = nullptr;
  // libfuse unmounts by path what has a living connection. Once we have done that ourselves the path may lead to
  // somebody else's mount, so then the session only closes its connection.
  if (gone || !ready_) fuse_session_unmount(session_);
  fuse_session_destroy(session_);
}

Result<void> Session::find_device() {
  TRY(const struct stat top, look_at(exported_.mountpoint));
  CHECK(look_at(exported_.flat_path()));
  device_ = top.st_dev;
  ready_ = true;
  if (exported_.kernel_cache == KernelCache::WriteBack) exported_.size_keeper.start(exported_.flat_path(), device_);
  return {};
}

bool Session::is_mounted() const {
  const auto entry = mount_at(exported_.mountpoint);
  return entry && makedev(entry->device_major, entry->device_minor) == device_;
}

}  // namespace flatimg::flat
