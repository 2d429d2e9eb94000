// The thread behind the control socket.
#include "fuse/control.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "fuse/facts.h"
#include "fuse/registry.h"

namespace flatimg::flat {

namespace {

constexpr std::size_t kMostClients = 32;
constexpr std::size_t kLongestWord = 64;
constexpr int kClientPatience = 2;  // seconds that a client may take to read its answer

void send_all(const Descriptor& connection, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;  // it went away
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

ino_t inode_at(const std::string& path) {
  struct stat found {};
  return lstat(path.c_str(), &found) == 0 ? found.st_ino : 0;
}

}  // namespace

Result<std::unique_ptr<Control>> Control::listen(const Exported& exported, dev_t device) {
  TRY(const std::string folder, own_registry());
  remove_stale_sockets(folder);
  const std::string path = folder + "/" + socket_name(device);
  TRY(const sockaddr_un address, socket_address(path));
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return fail_os(errno, "making the control socket");
  ::unlink(path.c_str());  // the number is ours now: whoever had it is gone
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(socket.get(), static_cast<int>(kMostClients)) != 0) {
    return fail_os(errno, "control socket {}", path);
  }
  return std::unique_ptr<Control>(new Control(exported, path, std::move(socket)));
}

Control::Control(const Exported& exported, std::string path, Descriptor socket)
    : path_(std::move(path)),
      inode_(inode_at(path_)),
      socket_(std::move(socket)),
      wake_up_(eventfd(0, EFD_CLOEXEC)),
      exported_(&exported),
      thread_([this] { serve(); }) {}

Control::~Control() {
  if (thread_.joinable()) finish(fail(ErrorKind::Io, "the mount ended early"));
}

void Control::forget_disk() {
  const MutexLock lock(mutex_);
  exported_ = nullptr;
}

void Control::finish(const Result<void>& outcome) {
  {
    const MutexLock lock(mutex_);
    exported_ = nullptr;
    outcome_ = (outcome ? "ok" : outcome.error().text) + "\n";
  }
  eventfd_write(wake_up_.get(), 1);
  thread_.join();
  if (inode_at(path_) == inode_) ::unlink(path_.c_str());
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
  std::array<char, kLongestWord> bytes{};
  const ssize_t got = ::recv(client.connection.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  client.done = got <= 0 || client.word.size() + static_cast<std::size_t>(got) > kLongestWord;
  if (client.done) return;
  client.word.append(bytes.data(), static_cast<std::size_t>(got));
  if (client.word.ends_with('\n')) answer(client);
}

void Control::answer(Client& client) {
  if (client.word == "wait\n") {
    client.waits = true;
    send_all(client.connection, "waiting\n");
    return;
  }
  if (client.word == "status\n") send_all(client.connection, status());
  client.done = true;
}

std::string Control::status() {
  const MutexLock lock(mutex_);
  return exported_ != nullptr ? stats_json(*exported_) : std::string();
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
