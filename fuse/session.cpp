// Making and ending a connection.
#include "fuse/session.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/text.h"
#include "fuse/libfuse.h"

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

/// The rest of the options concerns mounting (kernel_mount.cpp).
std::vector<std::string> words_for_libfuse(const MountOptions& options) {
  std::vector<std::string> words{"flatimg"};
  if (options.max_read) words.push_back(fmt::format("-omax_read={}", *options.max_read));
  if (kLibraryHasUring && options.transport == Transport::Uring) words.emplace_back("-oio_uring");
  return words;
}

fuse_session* new_session(Mounted& mounted, const MountOptions& options) {
  fuse_set_log_func(log_for_libfuse);
  fuse_args arguments{};
  for (const std::string& word : words_for_libfuse(options)) fuse_opt_add_arg(&arguments, word.c_str());
  fuse_session* session = fuse_session_new(&arguments, &mounted.operations(), sizeof(fuse_lowlevel_ops), &mounted);
  fuse_opt_free_args(&arguments);
  return session;
}

}  // namespace

Result<void> check_transport(Transport transport) {
  if (transport != Transport::Uring || kLibraryHasUring) return {};
  return fail(ErrorKind::Unsupported,
              "option io=uring: this flatimg was built with libfuse {}, which cannot do that (3.18 can)",
              fuse_pkgversion());
}

Result<std::unique_ptr<Session>> Session::start(Mounted& mounted, const MountOptions& options, Descriptor connection) {
  fuse_session* raw = new_session(mounted, options);
  if (raw == nullptr) return fail(ErrorKind::BadUsage, "libfuse does not take the mount options");
  if (fuse_session_mount(raw, fmt::format("/dev/fd/{}", connection.get()).c_str()) != 0) {
    fuse_session_destroy(raw);
    return fail(ErrorKind::Io, "libfuse does not take the connection");
  }
  (void)connection.release();  // libfuse closes it
  std::unique_ptr<Session> session(new Session(mounted, raw));
  mounted.session = raw;
  mounted.worker_threads = thread_count(options);
  session->workers_ = std::make_unique<Workers>(raw, mounted.worker_threads);
  return session;
}

Session::~Session() {
  workers_.reset();
  mounted_.session = nullptr;
  fuse_session_destroy(session_);
}

void Session::fetch_pages() { mounted_.fetch_pages(); }

}  // namespace flatimg::flat
