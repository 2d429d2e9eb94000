#include "image/image.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace flatimg {

Repeated Repeated::word_from(std::uint32_t word, ByteCount into) {
  Repeated repeated;
  std::memcpy(repeated.bytes.data(), &word, sizeof word);
  const auto first = repeated.bytes.begin() + static_cast<std::ptrdiff_t>(into.value() % 4);
  std::rotate(repeated.bytes.begin(), first, repeated.bytes.end());
  return repeated;
}

// Doubles what is there already.
void Repeated::fill(std::span<std::byte> out) const {
  if (out.empty()) return;
  std::size_t done = std::min(out.size(), bytes.size());
  std::memcpy(out.data(), bytes.data(), done);
  while (done < out.size()) {
    const std::size_t more = std::min(done, out.size() - done);
    std::memcpy(out.data() + done, out.data(), more);
    done += more;
  }
}

SnapshotInfo snapshot_now(std::string name) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  SnapshotInfo info;
  info.name = std::move(name);
  info.date_seconds = static_cast<std::uint32_t>(seconds.count());
  info.date_nanoseconds = static_cast<std::uint32_t>(std::chrono::nanoseconds(now - seconds).count());
  return info;
}

// What a format does not override, it cannot do.

Result<std::shared_ptr<const AlignedBytes>> Image::decode(const Encoded& /*encoded*/) {
  return fail(ErrorKind::Unsupported, "{} images have no encoded data", traits().format);
}

Result<Placement> Image::place(GuestRange /*want*/) {
  return fail(ErrorKind::Denied, "this {} image cannot be written", traits().format);
}

Result<void> Image::link(Placement /*placement*/) {
  return fail(ErrorKind::Denied, "this {} image cannot be written", traits().format);
}

Result<std::vector<std::byte>> Image::encode(std::span<const std::byte> /*unit*/) {
  return fail(ErrorKind::Unsupported, "{} images cannot hold compressed data", traits().format);
}

Result<Placement> Image::place_encoded(GuestRange /*unit*/, ByteCount /*length*/) {
  return fail(ErrorKind::Denied, "this {} image cannot be written", traits().format);
}

Result<GuestRange> Image::zero(GuestRange /*whole*/, Space /*space*/) {
  return fail(ErrorKind::Denied, "this {} image cannot be written", traits().format);
}

Result<void> Image::create_snapshot(const SnapshotInfo& /*wanted*/) {
  return fail(ErrorKind::Unsupported, "{} images have no snapshots", traits().format);
}

Result<void> Image::apply_snapshot(std::string_view /*id_or_name*/) {
  return fail(ErrorKind::Unsupported, "{} images have no snapshots", traits().format);
}

Result<void> Image::delete_snapshot(std::string_view /*name_or_id*/) {
  return fail(ErrorKind::Unsupported, "{} images have no snapshots", traits().format);
}

Result<void> Image::make_room(ByteCount /*size*/) { return {}; }
Result<void> Image::empty() { return fail(ErrorKind::Unsupported, "{} images cannot be emptied", traits().format); }

Result<void> Image::resize(ByteCount /*size*/) {
  return fail(ErrorKind::Unsupported, "{} images cannot be resized", traits().format);
}

}  // namespace flatimg
