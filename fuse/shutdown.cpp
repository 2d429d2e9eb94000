// The thread that waits for signals, and the states of shutdown.h.
#include "fuse/shutdown.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>

#include "base/log.h"
#include "fuse/leaving.h"

namespace flatimg::flat {

namespace {

constexpr int kStopWatching = SIGUSR2;  // from ourselves only

sigset_t watched_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, kStopWatching}) sigaddset(&signals, signal);
  return signals;
}

}  // namespace

Shutdown::Shutdown() {
  const sigset_t signals = watched_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_ = std::thread([this] { watch(); });
}

Shutdown::~Shutdown() {
  closing();
  pthread_kill(thread_.native_handle(), kStopWatching);
  thread_.join();
}

void Shutdown::mounting() {
  const MutexLock lock(mutex_);
  state_ = State::Mounting;
}

void Shutdown::serving(Session& session, const Mounted& mounted, Errands& errands) {
  const MutexLock lock(mutex_);
  served_ = {&session, &mounted, &errands};
  state_ = State::Serving;
  changed_.notify_all();
}

void Shutdown::closing() {
  const MutexLock lock(mutex_);
  while (state_ == State::Leaving) changed_.wait(mutex_);
  state_ = State::Closing;
  changed_.notify_all();
}

void Shutdown::watch() {
  const sigset_t signals = watched_signals();
  int signal = 0;
  while (sigwait(&signals, &signal) == 0) {
    if (signal != kStopWatching) {
      asked_to_end();
      continue;
    }
    const MutexLock lock(mutex_);
    if (state_ == State::Closing) return;
  }
}

void Shutdown::asked_to_end() {
  const auto served = begin_leaving();
  if (!served) return;
  leave(*served->session, *served->mounted, *served->errands);
  const MutexLock lock(mutex_);
  state_ = State::Closing;
  changed_.notify_all();
}

std::optional<Shutdown::Served> Shutdown::begin_leaving() {
  const MutexLock lock(mutex_);
  if (state_ == State::Opening) {
    log(LogLevel::Error, "ended by a signal before anything was mounted");
    _exit(1);
  }
  while (state_ == State::Mounting) changed_.wait(mutex_);
  if (state_ != State::Serving) return std::nullopt;
  state_ = State::Leaving;
  return served_;
}

}  // namespace flatimg::flat
