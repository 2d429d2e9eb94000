// Qcow1Image: what is special about images of Xen's tapdisk when they are written (sheet section 7).
//
//   conversion  an L1 table in the byte order of the machine is written anew, big-endian, behind everything that is
//               used; one write to the header then changes over to it, with flag and checksum. A crash leaves the old
//               table or the new one.
//   extents     tapdisk finds data by arithmetic where the checksum of the L1 table is right and clusters are allocated
//               a whole L2 table at a time. New extents are complete on disk before L1 mentions them; their checksum is
//               written behind everything else, at close. In between it is wrong, and then tapdisk looks at the tables.
//   leaving     where an extent cannot be made (a backing file would have to be copied, zeroes to be enciphered) the
//               header says that clusters are allocated one at a time, before the first such table exists.
#include <array>

#include "base/checked.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/text.h"
#include "qcow1/qcow1_image.h"

namespace flatimg::qcow1 {

namespace {

std::vector<std::byte> big_endian(const std::vector<std::uint64_t>& words, ByteCount padded) {
  std::vector<std::byte> bytes(padded.value());
  for (std::size_t n = 0; n < words.size(); ++n) store_be(std::span(bytes), 8 * n, words[n]);
  return bytes;
}

// Bytes 40 to 63 in one write: the place of the L1 table, and the extension.
Result<void> write_table_place(HostFile& file, HostOffset table, const XenExtension& xen) {
  std::array<std::byte, 24> bytes{};
  store_be(std::span(bytes), 0, table.value());
  store_be(std::span(bytes), 8, kXenMagic);
  store_be(std::span(bytes), 12, xen.checksum);
  store_be(std::span(bytes), 16, xen.clusters_at_once);
  store_be(std::span(bytes), 20, xen.flags);
  return file.write(field::kL1Table, std::span<const std::byte>(bytes));
}

Result<void> write_field(HostFile& file, HostOffset at, std::uint32_t value) {
  std::array<std::byte, 4> bytes{};
  store_be(std::span(bytes), 0, value);
  CHECK(file.write(at, std::span<const std::byte>(bytes)));
  return file.barrier();
}

}  // namespace

Result<void> Qcow1Image::convert_l1() {
  const std::vector<std::uint64_t> words = l1_.words();
  const ByteCount bytes = align_up(header_.l1_range().length, kXenAlignment);
  XenExtension xen = *header_.xen;
  xen.flags |= xen_flag::kL1BigEndian;
  if (extents_) {
    TRY(xen.checksum, l1_checksum(words, ByteOrder::Big));
  }
  TRY(const FreeSpace::Grant grant, free_space_.take_at_end(bytes, kXenAlignment));
  CHECK(file_->write(grant.range.begin, big_endian(words, bytes)));
  CHECK(file_->barrier());
  CHECK(write_table_place(*file_, grant.range.begin, xen));
  CHECK(file_->barrier());
  header_.l1_table = grant.range.begin;
  header_.xen = xen;
  l1_.is_now_at(header_.l1_table);
  l1_order_ = ByteOrder::Big;
  log(LogLevel::Warning, "{}: its L1 table was in the byte order of an early tapdisk and has been converted",
      shown(file_->name()));
  return {};
}

Result<void> Qcow1Image::leave_extents() {
  CHECK(write_field(*file_, field::kXenAllocation, 1));
  header_.xen->clusters_at_once = 1;
  extents_ = false;
  return {};
}

// An L2 table and its clusters behind it, all of them zeroes that are linked already. Within the file that was there
// before (a preallocated image) the zeroes are made first.
Result<HostOffset> Qcow1Image::make_extent() {
  TRY(const FreeSpace::Grant grant, free_space_.take_at_end(layout_.table_bytes() + layout_.span(), kXenAlignment));
  const HostOffset table = grant.range.begin;
  std::vector<std::uint64_t> entries(layout_.entries_per_table());
  for (std::size_t n = 0; n < entries.size(); ++n) {
    entries[n] = (table + layout_.table_bytes() + layout_.cluster() * n).value();
  }
  if (!grant.reads_zero) CHECK(file_->zero(grant.range.without_first(layout_.table_bytes()), Space::Keep));
  CHECK(file_->write(table, big_endian(entries, layout_.table_bytes())));
  return table;
}

// Everything else is on stable storage.
Result<void> Qcow1Image::write_checksum() {
  {
    const MutexLock lock(tables_mutex_);
    if (!extents_ || !l1_changed_) return {};
    l1_changed_ = false;
  }
  TRY(const std::uint32_t checksum, l1_checksum(l1_.words(), ByteOrder::Big));
  return write_field(*file_, field::kXenChecksum, checksum);
}

// An image that tapdisk has preallocated stays so.
Space Qcow1Image::space_for(Space wanted) const {
  return header_.xen && !header_.xen->has(xen_flag::kSparse) ? Space::Keep : wanted;
}

// All clusters of an extent are there, whatever was written.
std::optional<ByteCount> Qcow1Image::known_data_bytes() {
  if (!makes_extents() || !extents_) return std::nullopt;
  const ByteCount behind = layout_.span() * l1_.size() - header_.size;  // of the last span
  const bool with_last = l1_.size() > 0 && l1_.load(l1_.size() - 1) != 0;
  const ByteCount all = layout_.span() * tables_.load();
  return with_last ? all - std::min(all, behind) : all;
}

}  // namespace flatimg::qcow1
