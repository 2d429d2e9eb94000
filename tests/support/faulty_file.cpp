#include "support/faulty_file.h"

#include <numeric>
#include <vector>

#include "support/call_sites.h"

namespace flatimg::test {

namespace {

std::size_t half_of(std::size_t bytes) { return bytes / 2 / 512 * 512; }

}  // namespace

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

std::uint64_t FaultyFile::failed(Call call) const {
  const std::lock_guard lock(mutex_);
  return failures_[static_cast<std::size_t>(call)];
}

std::uint64_t FaultyFile::all_calls() const {
  const std::lock_guard lock(mutex_);
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

std::uint64_t FaultyFile::all_failed() const {
  const std::lock_guard lock(mutex_);
  return std::accumulate(failures_.begin(), failures_.end(), std::uint64_t{0});
}

FaultyFile::Outcome FaultyFile::counted(Call call) {
  Outcome outcome = decided(call);
  note_call_site(static_cast<unsigned>(call), outcome.result ? CallEnded::Well : CallEnded::Failed);
  return outcome;
}

FaultyFile::Outcome FaultyFile::decided(Call call) {
  const std::lock_guard lock(mutex_);
  ++counts_[static_cast<std::size_t>(call)];
  if (!fault_ || (!fault_->calls.empty() && !fault_->calls.contains(call))) return {};
  if (fault_->nth > 1) {
    --fault_->nth;
    return {};
  }
  ++failures_[static_cast<std::size_t>(call)];
  const Fault fault = *fault_;
  if (fault.times == Times::Once) fault_.reset();
  return {fail_os(fault.os_error, "{}: planned fault", name()), fault.effect};
}

Result<void> FaultyFile::read(HostOffset at, std::span<std::byte> out) {
  auto outcome = counted(Call::Read);
  if (!outcome.result && outcome.effect == Effect::Half) CHECK(inner().read(at, out.first(half_of(out.size()))));
  if (!outcome.result) return outcome.result;
  return inner().read(at, out);
}

Result<void> FaultyFile::write(HostOffset at, std::span<const std::span<const std::byte>> parts) {
  auto outcome = counted(Call::Write);
  if (outcome.result) return inner().write(at, parts);
  if (outcome.effect == Effect::Half) {
    std::vector<std::byte> joined;
    for (const auto part : parts) joined.insert(joined.end(), part.begin(), part.end());
    CHECK(inner().write(at, std::span<const std::byte>(joined).first(half_of(joined.size()))));
  }
  return outcome.result;
}

Result<void> FaultyFile::zero(HostRange range, Space space) {
  auto outcome = counted(Call::Zero);
  if (outcome.result) return inner().zero(range, space);
  if (outcome.effect == Effect::Half) {
    CHECK(inner().zero(range.first(ByteCount(half_of(range.length.value()))), space));
  }
  return outcome.result;
}

Result<void> FaultyFile::reserve(HostRange range) {
  CHECK(counted(Call::Reserve).result);
  return inner().reserve(range);
}

Result<void> FaultyFile::barrier() {
  CHECK(counted(Call::Barrier).result);
  return inner().barrier();
}

Result<ByteCount> FaultyFile::size() {
  CHECK(counted(Call::Size).result);
  return inner().size();
}

Result<void> FaultyFile::resize(ByteCount size) {
  CHECK(counted(Call::Resize).result);
  return inner().resize(size);
}

Result<HostRange> FaultyFile::next_data(HostOffset from) {
  CHECK(counted(Call::NextData).result);
  return inner().next_data(from);
}

Result<ByteCount> FaultyFile::allocated() {
  CHECK(counted(Call::Allocated).result);
  return inner().allocated();
}

}  // namespace flatimg::test
