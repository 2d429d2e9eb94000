// The loop of a worker, and how it is stopped.
#include "fuse/workers.h"

#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/log.h"
#include "base/result.h"
#include "fuse/libfuse.h"

namespace flatimg::flat {

namespace {

constexpr auto kBetweenWakeUps = std::chrono::milliseconds(5);

int wake_up_signal() { return SIGRTMIN; }

/// Without SA_RESTART: read() returns EINTR.
void install_wake_up_handler() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(wake_up_signal(), &action, nullptr);
}

/// libfuse allocates the memory with the first request and leaves it to the caller.
struct RequestBuffer : fuse_buf {
  RequestBuffer() : fuse_buf{} {}
  ~RequestBuffer() { std::free(mem); }
  RequestBuffer(const RequestBuffer&) = delete;
  RequestBuffer& operator=(const RequestBuffer&) = delete;
};

}  // namespace

Workers::Workers(fuse_session* session, unsigned threads) : session_(session), running_(threads) {
  install_wake_up_handler();
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

Workers::~Workers() {
  stop();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::wait() {
  const MutexLock lock(mutex_);
  while (running_ > 0) ended_.wait(mutex_);
}

bool Workers::wait_for(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  const MutexLock lock(mutex_);
  while (running_ > 0 && ended_.wait_until(mutex_, deadline) == std::cv_status::no_timeout) continue;
  return running_ == 0;
}

void Workers::stop() {
  stopping_ = true;
  while (!wait_for(std::chrono::milliseconds(0))) {
    for (std::thread& thread : threads_) pthread_kill(thread.native_handle(), wake_up_signal());
    (void)wait_for(kBetweenWakeUps);
  }
}

void Workers::serve() {
  RequestBuffer buffer;
  while (!stopping_ && fuse_session_exited(session_) == 0) {
    const int received = fuse_session_receive_buf(session_, &buffer);
    if (received == -EINTR || received == -EAGAIN) continue;
    if (received <= 0) {
      if (received < 0) log(LogLevel::Error, "reading requests: {}", system_error(-received, "/dev/fuse").text);
      break;
    }
    fuse_session_process_buf(session_, &buffer);
  }
  const MutexLock lock(mutex_);
  --running_;
  ended_.notify_all();
}

}  // namespace flatimg::flat
