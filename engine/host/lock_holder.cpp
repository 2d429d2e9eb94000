// The kernel prints a lock, in /proc/locks and (after "lock:") in /proc/PID/fdinfo/FD, as
//   1: OFDLCK ADVISORY  READ -1 08:01:1234 100 100
//   2: FLOCK  ADVISORY  WRITE 123 08:01:1234 0 EOF
// Only the second place tells whose an OFD lock is, and only for processes that we may trace; the first place tells
// everybody whose a flock or a POSIX lock is.
#include "host/lock_holder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <sstream>

namespace flatimg {

namespace {

namespace fs = std::filesystem;

struct LockLine {
  LockWorld world = LockWorld::Bytes;
  int process = -1;  // -1: an OFD lock, or a process of another namespace
  std::string file;  // device and inode, as the kernel prints them
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// nullopt for lines of another form and for requests that still wait ("1: -> FLOCK ...").
std::optional<LockLine> parsed(const std::string& line) {
  std::istringstream words(line);
  std::string number, kind, advice, mode, process, file, first, last;
  if (!(words >> number >> kind >> advice >> mode >> process >> file >> first >> last)) return std::nullopt;
  if (kind != "FLOCK" && kind != "OFDLCK" && kind != "POSIX") return std::nullopt;
  LockLine result;
  result.world = kind == "FLOCK" ? LockWorld::Flock : LockWorld::Bytes;
  result.process = number_in<int>(process).value_or(-1);
  result.file = file;
  result.first = number_in<std::uint64_t>(first).value_or(0);
  result.last = number_in<std::uint64_t>(last).value_or(std::numeric_limits<std::uint64_t>::max());
  return result;
}

std::optional<LockLine> first_lock_in(const std::string& fdinfo, const std::function<bool(const LockLine&)>& wanted) {
  std::ifstream file(fdinfo);
  constexpr std::string_view mark = "lock:";
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(mark)) continue;
    const auto lock = parsed(line.substr(mark.size()));
    if (lock && wanted(*lock)) return lock;
  }
  return std::nullopt;
}

// How the kernel prints this file's device and inode. Asked with a lock on a byte that means nothing to anybody,
// because st_dev is not what it prints on btrfs and overlayfs.
std::optional<std::string> printed_identity(int fd) {
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = std::numeric_limits<off_t>::max() - 1;
  lock.l_len = 1;
  if (::fcntl(fd, F_OFD_SETLK, &lock) != 0) return std::nullopt;
  const auto mine = first_lock_in(fmt::format("/proc/self/fdinfo/{}", fd), [](const LockLine&) { return true; });
  lock.l_type = F_UNLCK;
  (void)::fcntl(fd, F_OFD_SETLK, &lock);
  if (!mine) return std::nullopt;
  return mine->file;
}

std::optional<LockHolder> described(int process) {
  std::ifstream file(fmt::format("/proc/{}/comm", process));
  std::string command;
  if (!std::getline(file, command)) return std::nullopt;  // gone: only its lock lives on, in a child
  return LockHolder{process, command, process == ::getpid()};
}

using Wanted = std::function<bool(const LockLine&)>;

// Answers one after another until one is another process; ourselves only when no other was found.
class BestAnswer {
 public:
  void offer(std::optional<LockHolder> holder) {
    if (holder && (!best_ || best_->is_this_process)) best_ = std::move(holder);
  }
  [[nodiscard]] bool settled() const { return best_ && !best_->is_this_process; }
  [[nodiscard]] std::optional<LockHolder> take() { return std::move(best_); }

 private:
  std::optional<LockHolder> best_;
};

void ask_lock_table(const Wanted& wanted, BestAnswer& answer) {
  std::ifstream file("/proc/locks");
  for (std::string line; !answer.settled() && std::getline(file, line);) {
    const auto lock = parsed(line);
    if (lock && lock->process > 0 && wanted(*lock)) answer.offer(described(lock->process));
  }
}

bool has_lock(const fs::path& process, const Wanted& wanted) {
  std::error_code ignored;  // processes come and go, and those of others do not show theirs
  for (fs::directory_iterator file(process / "fdinfo", ignored), end; file != end; file.increment(ignored)) {
    if (first_lock_in(file->path().string(), wanted)) return true;
    if (ignored) break;
  }
  return false;
}

void ask_processes(const Wanted& wanted, BestAnswer& answer) {
  std::error_code ignored;
  for (fs::directory_iterator entry("/proc", ignored), end; !answer.settled() && entry != end;
       entry.increment(ignored)) {
    const auto process = number_in<int>(entry->path().filename().string());
    if (process && has_lock(entry->path(), wanted)) answer.offer(described(*process));
    if (ignored) break;
  }
}

LockHolderSource& other_source() {
  static LockHolderSource source;
  return source;
}

}  // namespace

void ask_for_lock_holders(LockHolderSource source) { other_source() = std::move(source); }

std::optional<LockHolder> find_lock_holder(int fd, LockWorld world, HostOffset at) {
  if (other_source()) return other_source()(fd, world, at);
  const auto identity = printed_identity(fd);
  if (!identity) return std::nullopt;
  const Wanted wanted = [&](const LockLine& lock) {
    const bool covers = world == LockWorld::Flock || (lock.first <= at.value() && at.value() <= lock.last);
    return lock.world == world && lock.file == *identity && covers;
  };
  BestAnswer answer;
  ask_lock_table(wanted, answer);
  if (!answer.settled()) ask_processes(wanted, answer);
  return answer.take();
}

}  // namespace flatimg
