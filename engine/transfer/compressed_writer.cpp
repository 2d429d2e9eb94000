#include "transfer/compressed_writer.h"

#include "base/zeroes.h"

namespace flatimg::transfer {

// What lies behind the end of the disk, in its last unit, is zero.
Result<std::optional<CompressedWriter::Unit>> CompressedWriter::encode_unit(GuestOffset at,
                                                                            std::span<const std::byte> bytes) {
  if (is_all_zero(bytes)) return std::nullopt;
  std::vector<std::byte> padded;
  if (bytes.size() < unit().value()) {
    padded.assign(bytes.begin(), bytes.end());
    padded.resize(unit().value());
  }
  TRY(auto encoded, disk_.top().encode(padded.empty() ? bytes : padded));
  if (!encoded.empty()) return Unit{at, std::move(encoded), true};
  return Unit{at, {bytes.begin(), bytes.end()}};
}

Result<ImageWriter::Append> CompressedWriter::encode(GuestRange where, std::span<const std::byte> bytes) {
  std::vector<Unit> units;
  const std::size_t most = unit().value();
  for (std::size_t begin = 0; begin < bytes.size(); begin += most) {
    const auto part = bytes.subspan(begin, std::min(most, bytes.size() - begin));
    TRY(auto unit, encode_unit(where.begin + ByteCount(begin), part));
    if (unit) units.push_back(*std::move(unit));
  }
  return [this, units = std::move(units)]() -> Result<void> {
    for (const Unit& unit : units) {
      CHECK(unit.encoded ? disk_.write_encoded(unit.at, unit.bytes) : disk_.write(unit.at, unit.bytes));
    }
    return {};
  };
}

Result<ImageWriter::Append> CompressedWriter::encode_hole(GuestRange /*where*/) {
  return [] { return Result<void>(); };
}

}  // namespace flatimg::transfer
