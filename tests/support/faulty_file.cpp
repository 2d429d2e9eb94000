#include "support/faulty_file.h"

namespace flatimg::test {

const std::set<Call>& changing() {
  static const std::set<Call> calls = {Call::Write, Call::Zero, Call::Reserve, Call::Barrier, Call::Resize};
  return calls;
}

void FaultyFile::plan(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

void FaultyFile::heal() {
  const std::lock_guard lock(mutex_);
  fault_.reset();
}

std::uint64_t FaultyFile::calls(Call call) const {
  const std::lock_guard lock(mutex_);
  return counts_[static_cast<std::size_t>(call)];
}

std::uint64_t FaultyFile::changing_calls() const {
  std::uint64_t sum = 0;
  for (const Call call : changing()) sum += calls(call);
  return sum;
}

Result<void> FaultyFile::counted(Call call) {
  const std::lock_guard lock(mutex_);
  ++counts_[static_cast<std::size_t>(call)];
  if (!fault_ || (!fault_->calls.empty() && !fault_->calls.contains(call))) return {};
  if (fault_->nth > 1) {
    --fault_->nth;
    return {};
  }
  const int os_error = fault_->os_error;
  if (fault_->times == Times::Once) fault_.reset();
  return fail_os(os_error, "{}: planned fault", name());
}

Result<void> FaultyFile::read(HostOffset at, std::span<std::byte> out) {
  CHECK(counted(Call::Read));
  return inner().read(at, out);
}

Result<void> FaultyFile::write(HostOffset at, std::span<const std::span<const std::byte>> parts) {
  CHECK(counted(Call::Write));
  return inner().write(at, parts);
}

Result<void> FaultyFile::zero(HostRange range, Space space) {
  CHECK(counted(Call::Zero));
  return inner().zero(range, space);
}

Result<void> FaultyFile::reserve(HostRange range) {
  CHECK(counted(Call::Reserve));
  return inner().reserve(range);
}

Result<void> FaultyFile::barrier() {
  CHECK(counted(Call::Barrier));
  return inner().barrier();
}

Result<ByteCount> FaultyFile::size() {
  CHECK(counted(Call::Size));
  return inner().size();
}

Result<void> FaultyFile::resize(ByteCount size) {
  CHECK(counted(Call::Resize));
  return inner().resize(size);
}

Result<HostRange> FaultyFile::next_data(HostOffset from) {
  CHECK(counted(Call::NextData));
  return inner().next_data(from);
}

Result<ByteCount> FaultyFile::allocated() {
  CHECK(counted(Call::Allocated));
  return inner().allocated();
}

}  // namespace flatimg::test
