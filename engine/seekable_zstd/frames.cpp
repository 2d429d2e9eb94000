#include "seekable_zstd/frames.h"

#include <algorithm>
#include <cassert>

#include "base/limits.h"

namespace flatimg::seekable_zstd {

Result<void> Frames::append(const Frame& frame) {
  if (frame.content.is_zero()) return {};
  if (entries_.size() == limits::kZstdFrames) {
    return fail(ErrorKind::Limit, "more than {} frames: make them larger", limits::kZstdFrames);
  }
  if (frame.content > limits::kDisk - size_) return fail(ErrorKind::Limit, "more bytes than a disk can have");
  assert(frame.stored.length.value() <= UINT32_MAX && frame.content.value() <= UINT32_MAX);
  if (entries_.size() % kStride == 0) begins_.push_back(size_.value());
  entries_.push_back({frame.stored.begin.value(), static_cast<std::uint32_t>(frame.stored.length.value()),
                      static_cast<std::uint32_t>(frame.content.value())});
  if (frame.checksum) checksums_.push_back(*frame.checksum);
  assert(checksums_.empty() || checksums_.size() == entries_.size());
  size_ += frame.content;
  largest_ = std::max(largest_, frame.content);
  return {};
}

Frame Frames::frame(std::size_t index) const {
  const Entry& entry = entries_[index];
  Frame frame{{HostOffset(entry.at), ByteCount(entry.stored)}, ByteCount(entry.content), std::nullopt};
  if (have_checksums()) frame.checksum = checksums_[index];
  return frame;
}

Frames::Place Frames::at(GuestOffset at) const {
  assert(at.value() < size_.value());
  const auto group = static_cast<std::size_t>(std::ranges::upper_bound(begins_, at.value()) - begins_.begin()) - 1;
  std::size_t index = group * kStride;
  GuestRange where{GuestOffset(begins_[group]), ByteCount(entries_[index].content)};
  while (where.end() <= at) where = {where.end(), ByteCount(entries_[++index].content)};
  return {index, where};
}

}  // namespace flatimg::seekable_zstd
