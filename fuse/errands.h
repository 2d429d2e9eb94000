// What the worker asks of the supervisor, because it has given up the rights for it.
//
// One errand at a time, each answered; log lines and news are not. An errand may take as long as the kernel takes to
// write back, and needs other threads of the worker to serve what that brings about: never run one from a thread that
// serves requests, nor with a lock held that such a thread may want. The one exception is find_lock_holder(), which
// never waits for another errand, and which the supervisor answers without the mount.
//
// Invariant: no errand carries a path or anything else by which the supervisor could be led elsewhere than to the mount
// that its command line names.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/log.h"
#include "base/ranked_mutex.h"
#include "base/units.h"
#include "fuse/channel.h"
#include "fuse/kernel_mount.h"
#include "host/lock_holder.h"

namespace flatimg::flat {

/// What a message is about. The word of an answer is 0, or 1 + the ErrorKind of a failure with its text and errno.
enum class Errand : std::uint32_t {
  Log,                // text, numbers[0] = LogLevel; no answer
  Closing,            // the mount has ended, the last flush begins; no answer
  Mount,              // answer: the connection
  Announce,           // answer: numbers[0] = device; the listening control socket, if there is one
  WriteBack,          //
  CorrectSize,        // numbers[0] = bytes
  Leave,              // answer: numbers[0] = KernelMount::Left, numbers[1] = handles that the supervisor has open
  WriteBackDetached,  //
  FindUnpacked,       // answer: what the source was unpacked to before, if there is such a file
  BeginUnpacked,      // answer: a new file for that
  KeepUnpacked,       // the new file is complete
  FindLockHolder,     // numbers = LockWorld, byte; the file. Answer: numbers[0] = process or 0, text = its command
};

class Errands {
 public:
  explicit Errands(Channel channel) : channel_(std::move(channel)) {}

  Result<Descriptor> mount() EXCLUDES(mutex_);

  struct Announced {
    dev_t device = 0;
    Descriptor control;  // none: nobody can ask about this mount
  };
  /// The workers serve: looks whether the mount answers, and tells whoever waits for that.
  Result<Announced> announce() EXCLUDES(mutex_);
  Result<void> write_back() EXCLUDES(mutex_);
  Result<void> correct_size(ByteCount size) EXCLUDES(mutex_);

  struct Left {
    KernelMount::Left how;
    unsigned handles = 0;
  };
  /// An error only when the supervisor is gone.
  Result<Left> leave() EXCLUDES(mutex_);
  Result<void> write_back_detached() EXCLUDES(mutex_);
  /// Never waits for another errand: nullopt then. So threads that serve requests may ask, too.
  [[nodiscard]] std::optional<LockHolder> find_lock_holder(int fd, LockWorld world, HostOffset at) EXCLUDES(mutex_);

  // Unpacked files of the source: see unpack_errands.h.
  Result<Descriptor> find_unpacked() EXCLUDES(mutex_);
  Result<Descriptor> begin_unpacked() EXCLUDES(mutex_);
  Result<void> keep_unpacked() EXCLUDES(mutex_);

  /// Never waits; what the supervisor does not take is lost.
  void log(LogLevel level, std::string_view line) const;
  void closing() const;

 private:
  Result<Message> run(Errand errand, Message message = {}) EXCLUDES(mutex_);
  Result<Message> run_held(Errand errand, Message message) REQUIRES(mutex_);

  const Channel channel_;
  Mutex mutex_{Rank::Session};
};

/// An answer that says no more than how it went.
[[nodiscard]] Message answer_of(const Result<void>& outcome);

}  // namespace flatimg::flat
