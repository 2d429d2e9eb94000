#include "seekable_zstd/seek_table.h"

#include <array>

#include "base/aligned_buffer.h"
#include "base/endian.h"
#include "seekable_zstd/frame_header.h"

namespace flatimg::seekable_zstd {

namespace {

constexpr std::uint64_t kMostEntries = 0x8000000;  // the reference implementation's
constexpr unsigned kReservedBits = 0x7c;
constexpr std::uint64_t kEntriesAtOnce = 8192;

struct Shape {
  std::uint64_t entries = 0;
  bool checksums = false;
  HostOffset table;  // of its skippable frame; the end of what the entries tell of

  [[nodiscard]] std::uint64_t entry_bytes() const { return checksums ? kPlainEntry + 4 : kPlainEntry; }
  [[nodiscard]] std::uint64_t content_bytes() const { return entries * entry_bytes() + kSeekTableFooter; }
};

Failure invalid(const HostFile& file, std::string_view why) {
  return fail(ErrorKind::InvalidImage, "{}: its seek table is damaged: {}", file.name(), why);
}

Result<std::optional<Shape>> find_table(HostFile& file) {
  TRY(const ByteCount size, file.size());
  if (size.value() < kSeekTableFooter + kSkippableHeader) return std::optional<Shape>();
  std::array<std::byte, kSeekTableFooter> footer{};
  CHECK(file.read(HostOffset(size.value() - kSeekTableFooter), footer));
  const std::span<const std::byte> bytes = footer;
  if (load_le<std::uint32_t>(bytes, 5) != kSeekableMagic) return std::optional<Shape>();
  const auto descriptor = std::to_integer<unsigned>(bytes[4]);
  if ((descriptor & kReservedBits) != 0) return invalid(file, "reserved bits are set");
  Shape shape{load_le<std::uint32_t>(bytes, 0), (descriptor & 0x80) != 0, {}};
  const std::uint64_t length = kSkippableHeader + shape.content_bytes();
  if (shape.entries > kMostEntries || length > size.value()) {
    return invalid(file, fmt::format("it has no room for {} frames", shape.entries));
  }
  shape.table = HostOffset(size.value() - length);
  return std::optional(shape);
}

Result<void> check_table_frame(HostFile& file, const Shape& shape) {
  std::array<std::byte, kSkippableHeader> head{};
  CHECK(file.read(shape.table, head));
  const std::span<const std::byte> bytes = head;
  if (load_le<std::uint32_t>(bytes, 0) != kSeekTableMagic) return invalid(file, "it does not begin where it should");
  const auto length = load_le<std::uint32_t>(bytes, 4);
  if (length == shape.content_bytes()) return {};
  return invalid(file, fmt::format("a frame of {} bytes for {} bytes of table", length, shape.content_bytes()));
}

// Adds up the entries of a part of the table, and where their frames are.
class Reading {
 public:
  Reading(const HostFile& file, const Shape& shape) : file_(file), shape_(shape) {}

  Result<void> add(std::span<const std::byte> entries) {
    for (std::uint64_t at = 0; at < entries.size(); at += shape_.entry_bytes()) {
      const auto stored = load_le<std::uint32_t>(entries, at);
      const auto content = load_le<std::uint32_t>(entries, at + 4);
      if (ByteCount(stored) > shape_.table - next_) return invalid(file_, "its frames do not fit into the file");
      Frame frame{{next_, ByteCount(stored)}, ByteCount(content), std::nullopt};
      if (shape_.checksums) frame.checksum = load_le<std::uint32_t>(entries, at + 8);
      if (auto added = frames_.append(frame); !added) return Failure(std::move(added.error()).within(file_.name()));
      next_ += ByteCount(stored);
    }
    return {};
  }
  Result<Frames> finish() && {
    if (next_ == shape_.table) return std::move(frames_);
    return invalid(file_, fmt::format("its frames end at byte {} instead of {}", next_.value(), shape_.table.value()));
  }

 private:
  const HostFile& file_;
  const Shape& shape_;
  HostOffset next_;
  Frames frames_;
};

}  // namespace

Result<std::optional<Frames>> read_seek_table(HostFile& file) {
  TRY(const std::optional<Shape> shape, find_table(file));
  if (!shape) return std::optional<Frames>();
  CHECK(check_table_frame(file, *shape));
  Reading reading(file, *shape);
  AlignedBuffer buffer;
  HostRange left{shape->table + ByteCount(kSkippableHeader), ByteCount(shape->entries * shape->entry_bytes())};
  while (!left.empty()) {
    const HostRange now = left.first(ByteCount(kEntriesAtOnce * shape->entry_bytes()));
    const auto entries = buffer.at_least(now.length.value()).first(now.length.value());
    CHECK(file.read(now.begin, entries));
    CHECK(reading.add(entries));
    left = left.without_first(now.length);
  }
  TRY(Frames frames, std::move(reading).finish());
  return std::optional(std::move(frames));
}

}  // namespace flatimg::seekable_zstd
