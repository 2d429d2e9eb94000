#include "view/sector_io.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "base/aligned_buffer.h"

namespace flatimg {

namespace {

constexpr ByteCount kSector{SectorTransform::kSector};
constexpr std::size_t kPiece = 1u << 20;

std::span<std::byte> piece_memory(std::size_t bytes) {
  thread_local AlignedBuffer buffer;
  return buffer.at_least(std::min(bytes, kPiece));
}

Result<void> read_whole_sectors(const EncipheredPlace& place, std::span<std::byte> out) {
  CHECK(place.file->read(place.at, out));
  return place.cipher.transform->decipher(place.cipher.first_sector, out);
}

bool whole_sectors(const EncipheredPlace& place, std::size_t bytes) {
  return place.in_sector().is_zero() && bytes % kSector.value() == 0;
}

// Parts one behind the other, taken piece by piece.
class Parts {
 public:
  explicit Parts(std::span<const std::span<const std::byte>> parts) : parts_(parts) {}

  void take(std::span<std::byte> out) {
    while (!out.empty()) {
      const auto left = parts_.front().subspan(taken_);
      const std::size_t now = std::min(left.size(), out.size());
      if (now > 0) std::memcpy(out.data(), left.data(), now);
      out = out.subspan(now);
      taken_ += now;
      if (taken_ < parts_.front().size()) continue;
      parts_ = parts_.subspan(1);
      taken_ = 0;
    }
  }

 private:
  std::span<const std::span<const std::byte>> parts_;
  std::size_t taken_ = 0;
};

std::size_t size_of(std::span<const std::span<const std::byte>> parts) {
  std::size_t bytes = 0;
  for (const auto& part : parts) bytes += part.size();
  return bytes;
}

}  // namespace

EncipheredPlace EncipheredPlace::behind(ByteCount bytes) const {
  const std::uint64_t sectors = (in_sector() + bytes) / kSector;
  return {file, at + bytes, {cipher.transform, cipher.first_sector + sectors}};
}

// Whole sectors are deciphered where the caller wants them; others in our own memory.
Result<void> read_enciphered(const EncipheredPlace& place, std::span<std::byte> out) {
  if (whole_sectors(place, out.size())) return read_whole_sectors(place, out);
  EncipheredPlace from = place;
  while (!out.empty()) {
    const ByteCount skipped = from.in_sector();
    const auto memory = piece_memory(align_up(skipped + ByteCount(out.size()), kSector).value());
    const std::size_t now = std::min(out.size(), memory.size() - skipped.value());
    CHECK(read_whole_sectors(from.sector_start(), memory));
    std::memcpy(out.data(), memory.data() + skipped.value(), now);
    out = out.subspan(now);
    from = from.behind(ByteCount(now));
  }
  return {};
}

Result<void> write_enciphered(const EncipheredPlace& place, std::span<const std::byte> data) {
  if (whole_sectors(place, data.size())) return write_whole_sectors(place, std::span(&data, 1));
  std::array<std::byte, kSector.value()> first_sector;
  std::array<std::byte, kSector.value()> last_sector;
  const std::size_t before = place.in_sector().value();
  const EncipheredPlace end = place.behind(ByteCount(data.size()));
  const std::size_t into_last = end.in_sector().value();
  if (before > 0) CHECK(read_whole_sectors(place.sector_start(), first_sector));
  if (into_last > 0) CHECK(read_whole_sectors(end.sector_start(), last_sector));
  const std::array<std::span<const std::byte>, 3> parts{
      std::span<const std::byte>(first_sector).first(before), data,
      into_last > 0 ? std::span<const std::byte>(last_sector).subspan(into_last) : std::span<const std::byte>()};
  return write_whole_sectors(place.sector_start(), parts);
}

Result<void> write_whole_sectors(const EncipheredPlace& place, std::span<const std::span<const std::byte>> parts) {
  std::size_t left = size_of(parts);
  assert(whole_sectors(place, left));
  Parts source(parts);
  for (EncipheredPlace to = place; left > 0;) {
    const auto memory = piece_memory(left);
    source.take(memory);
    CHECK(to.cipher.transform->encipher(to.cipher.first_sector, memory));
    CHECK(to.file->write(to.at, std::span<const std::byte>(memory)));
    left -= memory.size();
    to = to.behind(ByteCount(memory.size()));
  }
  return {};
}

}  // namespace flatimg
