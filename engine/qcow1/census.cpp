#include "qcow1/census.h"

#include <algorithm>

#include "base/checked.h"
#include "base/text.h"
#include "host/host_file.h"
#include "qcow1/table_scan.h"

namespace flatimg::qcow1 {

namespace {

constexpr std::size_t kMostUses = std::size_t{1} << 26;  // 2 GiB of memory, for an image in as many fragments

HostOffset end_of(ByteCount size) { return HostOffset(size.value()); }

}  // namespace

std::string Census::name_of(const Use& use) const {
  if (use.what == Use::What::Data) return fmt::format("the data from guest byte {} on", use.guest.value());
  if (use.begin.value() == 0) return "the header";
  if (use.begin == header_.l1_table) return "the L1 table";
  if (use.begin == header_.backing_place.begin) return "the backing file name";
  return fmt::format("the L2 table at byte {}", use.begin.value());
}

// --- walking --------------------------------------------------------------------------------------------------------

// What continues the record before it joins that.
Result<void> Census::use(Use use) {
  used_end_ = std::max(used_end_, use.end);
  if (!uses_.empty() && use.what == Use::What::Data && uses_.back().what == Use::What::Data &&
      uses_.back().end == use.begin) {
    uses_.back().end = use.end;
    return {};
  }
  if (uses_.size() == kMostUses) return fail(ErrorKind::Limit, "the image has too many fragments to be checked");
  uses_.push_back(use);
  return {};
}

Result<void> Census::note_data(GuestOffset guest, const Meaning& meaning) {
  const bool compressed = meaning.kind == Kind::Compressed;
  ++report_.allocated_clusters;
  if (compressed) ++report_.compressed_clusters;
  if (compressed || (expected_ && *expected_ != meaning.host)) ++report_.fragmented_clusters;
  expected_ = meaning.range().end();
  if (compressed && meaning.length.is_zero()) {
    report_.corruption("guest byte {}: a compressed cluster of no bytes", guest.value());
    return {};
  }
  if (!compressed && !(meaning.host % kSector).is_zero()) {
    report_.corruption("guest byte {} is stored at byte {}, which is not aligned", guest.value(), meaning.host.value());
    return {};
  }
  return use({meaning.host, meaning.range().end(), guest});
}

// Data may end behind the file (the rest is zeroes), a compressed stream may not.
Result<void> Census::note(GuestOffset guest, const Meaning& meaning) {
  const bool whole = meaning.kind == Kind::Compressed;
  if (meaning.host >= end_of(file_size_) || (whole && meaning.range().end() > end_of(file_size_))) {
    report_.corruption("guest byte {} is stored at byte {}, behind the end of the file", guest.value(),
                       meaning.host.value());
    return {};
  }
  return note_data(guest, meaning);
}

Result<void> Census::walk(const Progress& progress) {
  TRY(file_size_, file_.size());
  report_.total_clusters = ceil_divide(header_.size.value(), layout_.cluster().value());
  CHECK(use({HostOffset(0), HostOffset(0) + header_.own_bytes(), GuestOffset(), Use::What::Table}));
  CHECK(use({header_.l1_table, header_.l1_range().end(), GuestOffset(), Use::What::Table}));
  if (header_.backing_name) {
    CHECK(use({header_.backing_place.begin, header_.backing_place.end(), GuestOffset(), Use::What::Table}));
  }
  const auto use_table = [&](HostOffset table) {
    return use({table, table + layout_.table_bytes(), GuestOffset(), Use::What::Table});
  };
  const auto note_cluster = [&](GuestOffset guest, const Meaning& meaning) { return note(guest, meaning); };
  return TableScan(file_, layout_).walk(table_, {.cluster = note_cluster, .table = use_table, .progress = progress});
}

// --- judging --------------------------------------------------------------------------------------------------------

void Census::find_overlaps() {
  std::ranges::sort(uses_, {}, &Use::begin);
  const Use* farthest = nullptr;  // of those before, the one that ends last
  for (const Use& use : uses_) {
    if (farthest != nullptr && use.begin < farthest->end) {
      report_.corruption("{} and {} are stored in the same place, at byte {}", name_of(*farthest), name_of(use),
                         use.begin.value());
    }
    if (farthest == nullptr || use.end > farthest->end) farthest = &use;
  }
}

Result<Census> Census::take(HostFile& file, const Header& header, const L1Table& table, const Progress& progress) {
  Census census(file, header, table);
  auto walked = census.walk(progress);
  if (!walked) return Failure(std::move(walked.error()).within(shown(file.name())));
  census.find_overlaps();
  census.uses_.clear();
  census.uses_.shrink_to_fit();
  census.report_.image_end = census.used_end_ - HostOffset(0);
  return census;
}

Result<void> check_data_lies_in_file(HostFile& file, const Header& header, const L1Table& table) {
  constexpr ByteCount kMostTables = 4_MiB;
  const Layout layout(header);
  TRY(const ByteCount size, file.size());
  const auto check = [&](GuestOffset guest, const Meaning& meaning) -> Result<void> {
    if (meaning.host < end_of(size)) return {};
    return fail(ErrorKind::InvalidImage,
                "{}: guest byte {} is stored at byte {}, behind the end of the file: the image is truncated",
                shown(file.name()), guest.value(), meaning.host.value());
  };
  const std::uint64_t most_tables = std::max<std::uint64_t>(1, kMostTables / layout.table_bytes());
  return TableScan(file, layout).walk(table, {.cluster = check, .most_tables = most_tables});
}

}  // namespace flatimg::qcow1
