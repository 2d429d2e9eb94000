// The loop of the supervisor, and its side of each errand.
#include "fuse/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "fuse/registry.h"
#include "fuse/unpack_errands.h"

namespace flatimg::flat {

namespace {

sigset_t signals_to_hold() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  return signals;
}

/// The line without what could play tricks on a terminal. Names in it are escaped already by whoever is honest.
std::string harmless(std::string line) {
  std::ranges::replace_if(
      line, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return line;
}

/// A file that is locked, and who has it locked.
Message lock_holder(const Message& asked) {
  Message answer;
  const auto world =
      asked.numbers[0] == static_cast<std::int64_t>(LockWorld::Flock) ? LockWorld::Flock : LockWorld::Bytes;
  const HostOffset at(static_cast<std::uint64_t>(asked.numbers[1]));
  const auto holder = find_lock_holder(asked.descriptor.get(), world, at);
  if (!holder) return answer;
  answer.numbers[0] = holder->process;
  answer.text = holder->command;
  return answer;
}

class Supervisor {
 public:
  Supervisor(pid_t worker, Channel channel, MountPlan plan, Verdict verdict)
      : worker_(worker),
        channel_(std::move(channel)),
        verdict_(std::move(verdict)),
        unpack_(plan.source, plan.options),
        mount_(std::move(plan)) {
    const sigset_t signals = signals_to_hold();
    signals_ = Descriptor(signalfd(-1, &signals, SFD_CLOEXEC));
  }

  int run() {
    while (!worker_ended_) look_once();
    while (hear(Channel::Patience::Drop)) continue;  // its last words
    mount_.clear();
    if (control_) control_->remove();
    return exit_code();
  }

 private:
  void look_once();
  void take_signal();
  bool hear(Channel::Patience patience);
  void serve(Message message);
  Message run_errand(Errand errand, const Message& message);
  Message make_mount();
  Message announce();
  void say_uncontrolled(std::string_view why) const;
  void say_ready();
  Message leave();
  [[nodiscard]] int exit_code() const;

  const pid_t worker_;
  Channel channel_;
  Descriptor signals_;
  Verdict verdict_;
  UnpackService unpack_;
  KernelMount mount_;
  std::optional<ControlSocket> control_;
  bool listening_ = true;  // the worker still has its end of the channel
  bool answers_ = false;   // the mount does
  bool worker_ended_ = false;
  int status_ = 0;
};

// The channel is heard first: when both have something, the worker's last words came before its end.
void Supervisor::look_once() {
  std::array<pollfd, 2> polled{{{signals_.get(), POLLIN, 0}, {channel_.descriptor().get(), POLLIN, 0}}};
  if (::poll(polled.data(), listening_ ? 2 : 1, -1) < 0) return;
  if (listening_ && polled[1].revents != 0) {
    (void)hear(Channel::Patience::Wait);
  } else if (polled[0].revents != 0) {
    take_signal();
  }
}

void Supervisor::take_signal() {
  signalfd_siginfo signal{};
  if (::read(signals_.get(), &signal, sizeof signal) != static_cast<ssize_t>(sizeof signal)) return;
  if (signal.ssi_signo != SIGCHLD) {
    ::kill(worker_, static_cast<int>(signal.ssi_signo));
    return;
  }
  worker_ended_ = ::waitpid(worker_, &status_, WNOHANG) == worker_;
}

/// False when there is nothing (more) to hear.
bool Supervisor::hear(Channel::Patience patience) {
  if (!listening_) return false;
  auto message = channel_.receive(patience);
  if (message) return serve(*std::move(message)), true;
  if (message.error().kind == ErrorKind::Busy) return false;
  listening_ = false;
  if (message.error().kind != ErrorKind::InvalidImage) return false;
  log(LogLevel::Error, "{}; it is stopped", message.error().text);
  ::kill(worker_, SIGKILL);
  return false;
}

void Supervisor::serve(Message message) {
  const auto errand = static_cast<Errand>(message.word);
  if (errand == Errand::Log) {
    const auto level = static_cast<LogLevel>(std::clamp<std::int64_t>(message.numbers[0], 0, 3));
    log_line(level, harmless(std::move(message.text)));
  } else if (errand == Errand::Closing) {
    notify_service_manager("STOPPING=1");
  } else if (!worker_ended_) {
    (void)channel_.send(run_errand(errand, message));
    if (errand == Errand::Announce && answers_) say_ready();
  }
}

Message Supervisor::run_errand(Errand errand, const Message& message) {
  switch (errand) {
    case Errand::Mount:
      return make_mount();
    case Errand::Announce:
      return announce();
    case Errand::WriteBack:
      return answer_of(mount_.write_back());
    case Errand::CorrectSize:
      return answer_of(mount_.correct_size(ByteCount(static_cast<std::uint64_t>(message.numbers[0]))));
    case Errand::Leave:
      return leave();
    case Errand::WriteBackDetached:
      return answer_of(mount_.write_back_detached());
    case Errand::FindUnpacked:
      return unpack_.find();
    case Errand::BeginUnpacked:
      return unpack_.begin();
    case Errand::KeepUnpacked:
      return unpack_.keep();
    case Errand::FindLockHolder:
      return lock_holder(message);
    default:
      return answer_of(fail(ErrorKind::BadUsage, "an errand that nobody knows"));
  }
}

// Once only: the connection of a mount cannot be had a second time.
Message Supervisor::make_mount() {
  if (mount_.device() != 0) return answer_of(fail(ErrorKind::BadUsage, "it is mounted already"));
  auto connection = mount_.make();
  if (!connection) return answer_of(Failure(connection.error()));
  Message answer;
  answer.descriptor = *std::move(connection);
  return answer;
}

Message Supervisor::announce() {
  if (const auto answers = mount_.must_answer(); !answers) return answer_of(answers);
  if (const auto attached = mount_.attach_loop(); !attached) return answer_of(attached);
  Message answer;
  answers_ = true;
  if (mount_.was_handed_over()) {
    say_uncontrolled("somebody else has mounted it");
    return answer;
  }
  answer.numbers[0] = static_cast<std::int64_t>(mount_.device());
  auto control = ControlSocket::listen(mount_.device());
  if (control) {
    answer.descriptor = control->take();
    control_ = *std::move(control);
  } else {
    say_uncontrolled(control.error().text);
  }
  return answer;
}

/// While there still is a terminal to say it on.
void Supervisor::say_uncontrolled(std::string_view why) const {
  log(LogLevel::Warning, "{}: flatimg status and umount do not reach this mount: {}", shown(mount_.mountpoint()), why);
}

// The worker has its answer by now: whatever becomes of this process, it will end the mount properly.
void Supervisor::say_ready() {
  verdict_.ready(mount_.loop_device());
  notify_service_manager("READY=1");
}

/// What the worker died of, if it did not end by itself.
int Supervisor::exit_code() const {
  if (WIFEXITED(status_)) return WEXITSTATUS(status_);
  const int signal = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
  const std::string_view why = signal == SIGSYS ? ": its sandbox ended it (sandbox=off mounts without)" : "";
  log(LogLevel::Error, "{}: the process that served the image died of signal {}{}. What was not flushed is lost",
      shown(mount_.mountpoint()), signal, why);
  return 1;
}

Message Supervisor::leave() {
  Message answer;
  answer.numbers[0] = static_cast<std::int64_t>(mount_.leave());
  answer.numbers[1] = mount_.has_handle() ? 1 : 0;
  return answer;
}

}  // namespace

void hold_supervisor_signals() {
  const sigset_t signals = signals_to_hold();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
}

int supervise(pid_t worker, Channel channel, MountPlan plan, Verdict verdict) {
  return Supervisor(worker, std::move(channel), std::move(plan), std::move(verdict)).run();
}

}  // namespace flatimg::flat
