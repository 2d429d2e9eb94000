// The worker's side.
#include "fuse/errands.h"

#include <fcntl.h>
#include <unistd.h>

namespace flatimg::flat {

namespace {

constexpr std::uint32_t kDone = 0;

Result<Message> outcome_in(Message answer) {
  if (answer.word == kDone) return answer;
  return Failure(
      Error{static_cast<ErrorKind>(answer.word - 1), static_cast<int>(answer.numbers[0]), std::move(answer.text)});
}

Result<void> only_whether(const Result<Message>& answer) {
  if (answer) return {};
  return Failure(answer.error());
}

}  // namespace

Message answer_of(const Result<void>& outcome) {
  Message answer;
  if (outcome) return answer;
  answer.word = static_cast<std::uint32_t>(outcome.error().kind) + 1;
  answer.numbers[0] = outcome.error().os_error;
  answer.text = outcome.error().text;
  return answer;
}

Result<Message> Errands::run(Errand errand, Message message) {
  const MutexLock lock(mutex_);
  return run_held(errand, std::move(message));
}

Result<Message> Errands::run_held(Errand errand, Message message) {
  message.word = static_cast<std::uint32_t>(errand);
  CHECK(channel_.send(message));
  TRY(Message answer, channel_.receive());
  return outcome_in(std::move(answer));
}

Result<Descriptor> Errands::mount() {
  TRY(Message answer, run(Errand::Mount));
  if (!answer.descriptor.valid()) return fail(ErrorKind::Io, "the connection to the kernel did not arrive");
  return std::move(answer.descriptor);
}

Result<Errands::Announced> Errands::announce() {
  TRY(Message answer, run(Errand::Announce));
  return Announced{static_cast<dev_t>(answer.numbers[0]), std::move(answer.descriptor)};
}

Result<void> Errands::write_back() { return only_whether(run(Errand::WriteBack)); }

Result<void> Errands::correct_size(ByteCount size) {
  Message message;
  message.numbers[0] = static_cast<std::int64_t>(size.value());
  return only_whether(run(Errand::CorrectSize, std::move(message)));
}

Result<Errands::Left> Errands::leave() {
  TRY(const Message answer, run(Errand::Leave));
  return Left{static_cast<KernelMount::Left>(answer.numbers[0]), static_cast<unsigned>(answer.numbers[1])};
}

Result<void> Errands::write_back_detached() { return only_whether(run(Errand::WriteBackDetached)); }

Result<Descriptor> Errands::find_unpacked() {
  TRY(Message answer, run(Errand::FindUnpacked));
  return std::move(answer.descriptor);
}

Result<Descriptor> Errands::begin_unpacked() {
  TRY(Message answer, run(Errand::BeginUnpacked));
  return std::move(answer.descriptor);
}

Result<void> Errands::keep_unpacked() { return only_whether(run(Errand::KeepUnpacked)); }

std::optional<LockHolder> Errands::find_lock_holder(int fd, LockWorld world, HostOffset at) {
  Message message;
  message.numbers = {static_cast<std::int64_t>(world), static_cast<std::int64_t>(at.value())};
  message.descriptor = Descriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!mutex_.try_lock()) return std::nullopt;
  const MutexLock lock(mutex_, std::adopt_lock);
  const auto answer = run_held(Errand::FindLockHolder, std::move(message));
  if (!answer || answer->numbers[0] == 0) return std::nullopt;
  const int process = static_cast<int>(answer->numbers[0]);
  return LockHolder{process, answer->text, process == getpid()};
}

void Errands::log(LogLevel level, std::string_view line) const {
  Message message;
  message.word = static_cast<std::uint32_t>(Errand::Log);
  message.numbers[0] = static_cast<std::int64_t>(level);
  message.text = line;
  (void)channel_.send(message, Channel::Patience::Drop);
}

void Errands::closing() const {
  Message message;
  message.word = static_cast<std::uint32_t>(Errand::Closing);
  (void)channel_.send(message, Channel::Patience::Drop);
}

}  // namespace flatimg::flat
