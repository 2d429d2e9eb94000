#include "host/record_reader.h"

#include <algorithm>

namespace flatimg {

namespace {

constexpr ByteCount kNearWindow = RecordReader::kLargestRecord;
constexpr ByteCount kFarWindow{512};
constexpr ByteCount kNear{1024};  // behind the window

}  // namespace

Result<void> RecordReader::move_to(HostRange record) {
  const bool near = window_.begin <= record.begin && record.begin <= window_.end() + kNear;
  const ByteCount length = near ? kNearWindow : std::max(kFarWindow, record.length);
  window_ = {};
  bytes_.resize(length.value());
  CHECK(file_->read(record.begin, bytes_));
  window_ = {record.begin, length};
  return {};
}

Result<std::span<const std::byte>> RecordReader::read(HostRange record) {
  assert(record.length <= kLargestRecord);
  if (!window_.contains(record)) CHECK(move_to(record));
  return std::span<const std::byte>(bytes_).subspan((record.begin - window_.begin).value(), record.length.value());
}

}  // namespace flatimg
