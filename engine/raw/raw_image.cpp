#include "raw/raw_image.h"

#include <algorithm>

namespace flatimg::raw {

namespace {

HostRange host(GuestRange range) { return {HostOffset(range.begin.value()), range.length}; }

}  // namespace

RawImage::RawImage(std::unique_ptr<HostFile> file, ByteCount size, FirstSectorGuard guard, std::string read_only_reason)
    : file_(std::move(file)),
      size_(size.value()),
      flusher_([this] { return file_->barrier(); }, std::chrono::milliseconds(0)) {
  traits_.format = "raw";
  traits_.granule = 1_B;
  traits_.writable = file_->writable() && read_only_reason.empty();
  traits_.read_only_reason = std::move(read_only_reason);
  traits_.fixed_map = true;
  traits_.guard_first_sector = std::move(guard);
}

Result<std::unique_ptr<RawImage>> RawImage::open(std::unique_ptr<HostFile> file, FirstSectorGuard guard,
                                                 std::string read_only_reason) {
  TRY(const ByteCount size, file->size());
  return std::unique_ptr<RawImage>(new RawImage(std::move(file), size, std::move(guard), std::move(read_only_reason)));
}

Result<Extent> RawImage::map(GuestRange want, Look look) {
  const Extent everything{want, InFile{file_.get(), host(want).begin, traits_.writable}};
  if (look != Look::Holes) return everything;
  TRY(const HostRange data, file_->next_data(host(want).begin));
  if (data.empty() || data.begin >= host(want).end()) return Extent{want, Zeroes{}};
  if (data.begin > host(want).begin) return Extent{want.first(data.begin - host(want).begin), Zeroes{}};
  return Extent{want.first(data.length), everything.source};
}

Result<GuestRange> RawImage::zero(GuestRange whole, Space space) {
  CHECK(file_->zero(host(whole), space));
  return whole;
}

Result<void> RawImage::resize(ByteCount size) {
  CHECK(file_->resize(size));
  size_ = size.value();
  return {};
}

Result<void> RawImage::flush() {
  if (!traits_.writable) return {};
  return flusher_.flush();
}

Result<void> RawImage::close() { return flush(); }

std::optional<ByteCount> RawImage::known_data_bytes() {
  const auto allocated = file_->allocated();
  if (!allocated) return std::nullopt;
  return *allocated;
}

}  // namespace flatimg::raw
