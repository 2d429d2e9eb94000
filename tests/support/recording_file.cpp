#include "support/recording_file.h"

namespace flatimg::test {

namespace {

std::vector<std::byte> joined(std::span<const std::span<const std::byte>> parts) {
  std::vector<std::byte> result;
  for (const auto part : parts) result.insert(result.end(), part.begin(), part.end());
  return result;
}

}  // namespace

unsigned Recording::add_file() {
  const std::lock_guard lock(mutex_);
  return files_++;
}

std::size_t Recording::begin(Operation operation) {
  const std::lock_guard lock(mutex_);
  operation.issued = sequence_++;
  operations_.push_back(std::move(operation));
  return operations_.size() - 1;
}

void Recording::complete(std::size_t index, bool failed) {
  const std::lock_guard lock(mutex_);
  if (index >= operations_.size()) return;  // cleared meanwhile
  operations_[index].completed = sequence_++;
  operations_[index].failed = failed;
}

std::vector<Operation> Recording::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

void Recording::clear() {
  const std::lock_guard lock(mutex_);
  operations_.clear();
}

RecordingFile::RecordingFile(std::unique_ptr<HostFile> inner, std::shared_ptr<Recording> recording)
    : ForwardingFile(std::move(inner)), recording_(std::move(recording)), number_(recording_->add_file()) {}

template <class Call>
Result<void> RecordingFile::recorded(Operation operation, Call call) {
  operation.file = number_;
  const std::size_t index = recording_->begin(std::move(operation));
  auto result = call();
  recording_->complete(index, !result.has_value());
  return result;
}

Result<void> RecordingFile::write(HostOffset at, std::span<const std::span<const std::byte>> parts) {
  Operation operation{.kind = Operation::Kind::Write};
  operation.bytes = joined(parts);
  operation.where = {at, ByteCount(operation.bytes.size())};
  return recorded(std::move(operation), [&] { return inner().write(at, parts); });
}

Result<void> RecordingFile::zero(HostRange range, Space space) {
  Operation operation{.kind = Operation::Kind::Zero};
  operation.where = range;
  operation.space = space;
  return recorded(std::move(operation), [&] { return inner().zero(range, space); });
}

Result<void> RecordingFile::reserve(HostRange range) {
  Operation operation{.kind = Operation::Kind::Reserve};
  operation.where = range;
  return recorded(std::move(operation), [&] { return inner().reserve(range); });
}

Result<void> RecordingFile::barrier() {
  return recorded({.kind = Operation::Kind::Barrier}, [&] { return inner().barrier(); });
}

Result<void> RecordingFile::resize(ByteCount size) {
  Operation operation{.kind = Operation::Kind::Resize};
  operation.where = {HostOffset(), size};
  return recorded(std::move(operation), [&] { return inner().resize(size); });
}

}  // namespace flatimg::test
