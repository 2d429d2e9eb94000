// What a process does to itself to be a good helper of the kernel: going into the background, telling whoever started
// it, and settings that keep it alive and quiet.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "host/posix_file.h"

namespace flatimg::flat {

/// The child's end of the line to the process that the user started.
class Verdict {
 public:
  Verdict() = default;  // nobody is waiting: foreground
  explicit Verdict(Descriptor to_parent) : to_parent_(std::move(to_parent)) {}
  /// The mount answers: the parent ends with 0 now and has this to say, and this process leaves the terminal.
  void ready(std::string_view news);
  [[nodiscard]] int descriptor() const { return to_parent_.get(); }

 private:
  Descriptor to_parent_;
};

struct ParentDone {
  int exit_code;
  std::string news = {};  // of the child, when it was ready
};

/// What becomes of descriptors that the caller had open.
enum class Inherited {
  Close,
  Keep,  // an image may name them (Gate::kDescriptors)
};

/// Forks. In the child: the verdict to give; it still has the terminal, for messages. In the parent, once the child has
/// given its verdict or has died: what to exit with. Call while there is one thread only.
std::variant<ParentDone, Verdict> fork_helper(Inherited inherited);

/// Forks the worker, which ends as by SIGTERM when the supervisor dies, and is not reached by signals of the terminal.
/// Returns 0 in the worker.
Result<pid_t> fork_worker();

/// What a child process says, which then ends; nullopt when it died before, or said more than a few lines. Call while
/// there is one thread only.
std::optional<std::string> ask_child(const std::function<std::string()>& question);

/// Closes everything but the standard streams and these.
void close_all_but(std::vector<int> kept);

/// Standard streams that lead nowhere: the terminal is not held.
void silence_streams();

/// No core dumps with people's data, no death by a closed pipe or a file-size limit, and where permitted the mark that
/// keeps memory reclaim from waiting for the very disk that we serve.
void harden_process();

/// A line for systemd ("READY=1") where $NOTIFY_SOCKET asks for it.
void notify_service_manager(std::string_view line);

}  // namespace flatimg::flat
