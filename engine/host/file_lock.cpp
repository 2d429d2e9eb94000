// The two kinds of locks one after the other: flock, then QEMU's bytes (block/file-posix.c; the letters below are its
// permissions).
//
//   | p | permission      | writer uses | reader uses | others may not (both) |
//   |---|-----------------|-------------|-------------|-----------------------|
//   | 0 | consistent read | yes         | yes         |                       |
//   | 1 | write           | yes         |             | yes                   |
//   | 3 | resize          | yes         |             | yes                   |
//
// Invariants:
//   1. Our bytes are locked before the opposite bytes are tested: of two that race both may fail, never both succeed.
//   2. After a failure the descriptor holds no lock at all.
#include "host/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <array>
#include <cerrno>

#include "base/text.h"
#include "host/lock_holder.h"

namespace flatimg {

namespace {

constexpr off_t kUses = 100;     // byte 100 + p: I use p
constexpr off_t kForbids = 200;  // byte 200 + p: nobody else may use p
constexpr std::array<off_t, 4> kPermissions = {0, 1, 2, 3};

bool uses(LockAs as, off_t permission) {
  return permission == 0 || (as == LockAs::Writer && (permission == 1 || permission == 3));
}
bool forbids(off_t permission) { return permission == 1 || permission == 3; }

struct flock byte_lock(short type, off_t at) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = 1;
  return lock;
}

// Why a lock could not be had: somebody's lock at that byte, or an errno.
struct Obstacle {
  LockWorld world = LockWorld::Bytes;
  HostOffset at;
  int os_error = 0;  // 0: held by somebody
};
using Outcome = std::optional<Obstacle>;  // nullopt: locked

bool means_held(int os_error) { return os_error == EWOULDBLOCK || os_error == EACCES; }

Outcome failed_at(LockWorld world, off_t at, int os_error) {
  return Obstacle{world, HostOffset(static_cast<std::uint64_t>(at)), means_held(os_error) ? 0 : os_error};
}

Outcome take_flock(int fd, LockAs as) {
  const int operation = as == LockAs::Writer ? LOCK_EX : LOCK_SH;
  while (::flock(fd, operation | LOCK_NB) != 0) {
    if (errno != EINTR) return failed_at(LockWorld::Flock, 0, errno);
  }
  return std::nullopt;
}

Outcome set_byte(int fd, off_t at, short type) {
  struct flock lock = byte_lock(type, at);
  if (::fcntl(fd, F_OFD_SETLK, &lock) != 0) return failed_at(LockWorld::Bytes, at, errno);
  return std::nullopt;
}

Outcome test_byte(int fd, off_t at) {
  struct flock lock = byte_lock(F_WRLCK, at);  // a write lock meets every read lock of others, never our own
  if (::fcntl(fd, F_OFD_GETLK, &lock) != 0) return failed_at(LockWorld::Bytes, at, errno);
  if (lock.l_type != F_UNLCK) return failed_at(LockWorld::Bytes, at, EWOULDBLOCK);
  return std::nullopt;
}

// Also releases what an earlier call took and this role does not need.
Outcome take_bytes(int fd, LockAs as) {
  for (const off_t p : kPermissions) {
    if (auto outcome = set_byte(fd, kUses + p, uses(as, p) ? F_RDLCK : F_UNLCK)) return outcome;
    if (auto outcome = set_byte(fd, kForbids + p, forbids(p) ? F_RDLCK : F_UNLCK)) return outcome;
  }
  return std::nullopt;
}

Outcome test_bytes(int fd, LockAs as) {
  for (const off_t p : kPermissions) {
    if (uses(as, p)) {
      if (auto outcome = test_byte(fd, kForbids + p)) return outcome;
    }
    if (forbids(p)) {
      if (auto outcome = test_byte(fd, kUses + p)) return outcome;
    }
  }
  return std::nullopt;
}

void release_all(int fd) {
  for (const off_t p : kPermissions) {
    (void)set_byte(fd, kUses + p, F_UNLCK);
    (void)set_byte(fd, kForbids + p, F_UNLCK);
  }
  (void)::flock(fd, LOCK_UN);
}

std::string words_for(const std::optional<LockHolder>& holder) {
  if (!holder) return "another program";
  if (holder->is_this_process) return "this process";
  return fmt::format("{} (pid {})", shown(holder->command), holder->process);
}

std::string_view way_out(const std::optional<LockHolder>& holder, LockAs as) {
  if (holder && holder->is_this_process) return "it is opened twice; close it in the other place first";
  if (as == LockAs::Writer) return "stop it first, or open the image read-only (-o ro) while the other only reads it";
  return "stop it first, or read without locks (-o lock=off, --force-share) and see the image change";
}

Failure refusal(const HostFile& file, LockAs as, const Obstacle& obstacle) {
  const std::string name = shown(file.name());
  if (obstacle.os_error != 0) {
    Error error = system_error(obstacle.os_error, fmt::format("{}: cannot lock", name));
    error.text += ": go on without locks with -o lock=off";
    return Failure(std::move(error));
  }
  const auto holder = find_lock_holder(file.descriptor(), obstacle.world, obstacle.at);
  return fail(ErrorKind::Busy, "{}: is in use by {}: {}", name, words_for(holder), way_out(holder, as));
}

}  // namespace

Result<void> lock_image(const HostFile& file, LockAs as) {
  const int fd = file.descriptor();
  if (fd < 0) return {};
  Outcome outcome = take_flock(fd, as);
  if (!outcome) outcome = take_bytes(fd, as);
  if (!outcome) outcome = test_bytes(fd, as);
  if (!outcome) return {};
  release_all(fd);
  return refusal(file, as, *outcome);
}

}  // namespace flatimg
