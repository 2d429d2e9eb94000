// The thread behind the control socket.
#include "fuse/control.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace flatimg::flat {

namespace {

constexpr std::size_t kMostClients = 32;
constexpr std::size_t kLongestRequest = 16384;
constexpr int kClientPatience = 2;  // seconds that a client may take to read its answer

void send_all(const Descriptor& connection, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;  // it went away
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string outcome_line(const Result<void>& outcome) { return (outcome ? "ok" : outcome.error().text) + "\n"; }

}  // namespace

Control::Control(Mounted& mounted, Errands& errands, Descriptor socket)
    : errands_(errands),
      socket_(std::move(socket)),
      wake_up_(eventfd(0, EFD_CLOEXEC)),
      mounted_(&mounted),
      thread_([this] { serve(); }) {}

Control::~Control() {
  if (thread_.joinable()) finish(fail(ErrorKind::Io, "the mount ended early"));
}

void Control::end_changes() {
  const MutexLock lock(mutex_);
  changes_ended_ = true;
  while (changing_) changed_.wait(mutex_);
}

void Control::forget_disk() {
  const MutexLock lock(mutex_);
  mounted_ = nullptr;
}

void Control::finish(const Result<void>& outcome) {
  {
    const MutexLock lock(mutex_);
    mounted_ = nullptr;
    outcome_ = outcome_line(outcome);
  }
  eventfd_write(wake_up_.get(), 1);
  thread_.join();
}

void Control::serve() {
  for (;;) {
    std::vector<pollfd> polled{{wake_up_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
    for (const Client& client : clients_) polled.push_back({client.connection.get(), POLLIN, 0});
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (polled[i + 2].revents != 0) hear(clients_[i]);
    }
    if (polled[1].revents != 0) accept_client();
    std::erase_if(clients_, [](const Client& client) { return client.done; });
    if (polled[0].revents != 0) return tell_waiting();
  }
}

void Control::accept_client() {
  Descriptor connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection.valid() || clients_.size() >= kMostClients) return;
  const timeval patience{kClientPatience, 0};
  setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  clients_.push_back({std::move(connection), {}});
}

void Control::hear(Client& client) {
  std::array<char, kLongestRequest> bytes{};
  const ssize_t got = ::recv(client.connection.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  client.done = got <= 0 || client.request.size() + static_cast<std::size_t>(got) > kLongestRequest;
  if (client.done) return;
  client.request.append(bytes.data(), static_cast<std::size_t>(got));
  if (client.request.ends_with('\n')) answer(client);
}

void Control::answer(Client& client) {
  const std::string_view request = std::string_view(client.request).substr(0, client.request.size() - 1);
  const auto blank = std::min(request.find(' '), request.size());
  const std::string_view word = request.substr(0, blank);
  const std::string_view argument = request.substr(std::min(blank + 1, request.size()));
  const auto end_of_name = std::min(argument.find('\0'), argument.size());
  const std::string name(argument.substr(0, end_of_name));
  const std::string path(argument.substr(std::min(end_of_name + 1, argument.size())));
  if (word == "wait") {
    client.waits = true;
    send_all(client.connection, "waiting\n");
    return;
  }
  if (word == "status") send_all(client.connection, status());
  if (word == "snapshot-create") send_all(client.connection, outcome_line(create_snapshot(name, path)));
  if (word == "snapshot-delete") send_all(client.connection, outcome_line(delete_snapshot(name, path)));
  client.done = true;
}

std::string Control::status() {
  const MutexLock lock(mutex_);
  return mounted_ != nullptr ? mounted_->status() : std::string();
}

/// The one change that is under way; the image is not closed meanwhile.
Result<void> Control::change(const std::function<Result<void>(Mounted&)>& change) {
  Mounted* mounted = nullptr;
  {
    const MutexLock lock(mutex_);
    if (mounted_ == nullptr || changes_ended_) return fail(ErrorKind::NotFound, "the mount is ending");
    changing_ = true;
    mounted = mounted_;
  }
  Result<void> changed = change(*mounted);
  const MutexLock lock(mutex_);
  changing_ = false;
  changed_.notify_all();
  return changed;
}

Result<void> Control::create_snapshot(const std::string& name, const std::string& path) {
  CHECK(errands_.write_back());
  return change([&](Mounted& mounted) { return mounted.create_snapshot(path, name); });
}

Result<void> Control::delete_snapshot(const std::string& name, const std::string& path) {
  return change([&](Mounted& mounted) { return mounted.delete_snapshot(path, name); });
}

void Control::tell_waiting() {
  std::string outcome;
  {
    const MutexLock lock(mutex_);
    outcome = outcome_;
  }
  for (const Client& client : clients_) {
    if (client.waits) send_all(client.connection, outcome);
  }
  clients_.clear();
}

}  // namespace flatimg::flat
