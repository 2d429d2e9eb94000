#include "composite/compose.h"

#include <algorithm>

#include "base/checked.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/utf8.h"

namespace flatimg::composite {

namespace {

constexpr ByteCount kSector{512};

Failure about(const Ingredient& part, std::string_view what) {
  return fail(ErrorKind::BadUsage, "{}: {}", shown(part.path), what);
}

// The files beside the disk have its name.
Result<void> check_name(const Beside& names) {
  if (is_utf8(names.beginning) && is_utf8(names.end) && is_utf8(names.filler)) return {};
  return fail(ErrorKind::BadUsage,
              "{}: a composite disk with a partition table records this name, and cannot record one that is not UTF-8: "
              "choose another name",
              shown(names.beginning));
}

Result<void> check_part(const Ingredient& part) {
  if (!is_utf8(part.path)) return about(part, "a composite disk cannot record a name that is not UTF-8");
  if (part.size.is_zero()) return about(part, "is an empty disk, which can be no part of another");
  return {};
}

// Puts parts one behind the other.
class Row {
 public:
  Result<GuestRange> add(const std::string& path, ByteCount length, std::uint64_t capability) {
    const auto end = checked_add(end_.value(), length.value());
    if (!end || *end > limits::kDisk.value() - 2 * kGptBytes.value()) {
      return fail(ErrorKind::Limit, "{}: the disk would become too large", shown(path));
    }
    const GuestRange where{GuestOffset(0) + end_, length};
    parts_.push_back({path, where, {}, capability});
    end_ += length;
    return where;
  }
  [[nodiscard]] ByteCount end() const { return end_; }
  [[nodiscard]] Header header() && { return {kVersion, end_, std::move(parts_)}; }

 private:
  ByteCount end_;
  std::vector<Part> parts_;
};

// The part and what follows it up to the next partition.
Result<GuestRange> add_aligned(Row& row, const Ingredient& part, const Beside& names) {
  TRY(GuestRange where, row.add(part.path, part.size, part.capability));
  const ByteCount rest = align_up(part.size, kAlignment) - part.size;
  if (rest.is_zero()) return where;
  if (part.capability == kReadWrite) {
    return about(part, fmt::format("its size of {} bytes is no multiple of {}, so it can be read-only only",
                                   part.size.value(), kAlignment.value()));
  }
  CHECK(row.add(names.filler, rest, 0));
  where.length += rest;
  return where;
}

Result<void> check_names(std::span<const Partition> partitions) {
  for (std::size_t n = 0; n < partitions.size(); ++n) {
    for (const Partition& earlier : partitions.first(n)) {
      if (earlier.name == partitions[n].name) {
        return fail(ErrorKind::BadUsage, "two partitions have the same label in its first 36 characters");
      }
      if (earlier.guid == partitions[n].guid) return fail(ErrorKind::BadUsage, "two partitions have the same GUID");
    }
  }
  return {};
}

Result<void> check_number(std::span<const Ingredient> parts, std::size_t most) {
  if (parts.empty()) return fail(ErrorKind::BadUsage, "a composite disk needs at least one part");
  if (parts.size() > most) return fail(ErrorKind::Limit, "more than {} parts", most);
  return {};
}

}  // namespace

Result<Composition> with_partition_table(std::span<const Ingredient> parts, const Beside& names) {
  CHECK(check_number(parts, kMostPartitions));
  CHECK(check_name(names));
  Row row;
  CHECK(row.add(names.beginning, kGptBytes, 0));
  std::vector<Partition> partitions;
  for (const Ingredient& part : parts) {
    CHECK(check_part(part));
    TRY(std::u16string name, partition_name(part.label));
    TRY(const GuestRange where, add_aligned(row, part, names));
    partitions.push_back({std::move(name), part.guid ? *part.guid : random_guid(), where});
  }
  CHECK(check_names(partitions));
  CHECK(row.add(names.end, kGptBytes, 0));
  GptTables tables = gpt_tables(partitions, row.end(), random_guid());
  return Composition{std::move(row).header(), std::move(tables)};
}

Result<Header> without_partition_table(std::span<const Ingredient> parts) {
  CHECK(check_number(parts, limits::kCompositeParts));
  Row row;
  for (const Ingredient& part : parts) {
    CHECK(check_part(part));
    if (!(part.size % kSector).is_zero()) {
      return about(part, fmt::format("its size of {} bytes is no multiple of {}: only a read-only part of a disk with "
                                     "a partition table (--gpt) can have that",
                                     part.size.value(), kSector.value()));
    }
    CHECK(row.add(part.path, part.size, part.capability));
  }
  return std::move(row).header();
}

}  // namespace flatimg::composite
