#include "qcow2/describe.h"

#include "host/host_file.h"
#include "qcow2/bitmap_directory.h"
#include "qcow2/header.h"
#include "qcow2/snapshot_table.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::uint64_t kNoIcount = ~std::uint64_t{0};

InfoField text(std::string name, std::string value) { return {std::move(name), InfoValue{std::move(value)}}; }
InfoField number(std::string name, std::uint64_t value) { return {std::move(name), InfoValue{value}}; }
InfoField truth(std::string name, bool value) { return {std::move(name), InfoValue{value}}; }

std::vector<SnapshotInfo> snapshot_infos(const SnapshotTable& table) {
  std::vector<SnapshotInfo> infos;
  for (const Snapshot& snapshot : table.snapshots) {
    SnapshotInfo info;
    info.id = snapshot.id;
    info.name = snapshot.name;
    info.vm_state_size = snapshot.vm_state_size;
    info.date_seconds = snapshot.date_seconds;
    info.date_nanoseconds = snapshot.date_nanoseconds;
    info.vm_clock_nanoseconds = snapshot.vm_clock_nanoseconds;
    if (snapshot.icount != kNoIcount) info.icount = snapshot.icount;
    infos.push_back(std::move(info));
  }
  return infos;
}

InfoValue bitmap_info(const Bitmap& bitmap) {
  InfoList flags;
  if ((bitmap.flags & bitmap_flag::kInUse) != 0) flags.push_back({std::string("in-use")});
  if ((bitmap.flags & bitmap_flag::kAuto) != 0) flags.push_back({std::string("auto")});
  return {InfoFields{{"flags", {std::move(flags)}},
                     text("name", bitmap.name),
                     number("granularity", std::uint64_t{1} << bitmap.granularity_bits)}};
}

Result<void> add_bitmaps(InfoFields& details, HostFile& file, const Header& header) {
  TRY(const std::vector<Bitmap> bitmaps, read_bitmap_directory(file, header));
  if (bitmaps.empty()) return {};
  InfoList list;
  for (const Bitmap& bitmap : bitmaps) list.push_back(bitmap_info(bitmap));
  details.push_back({"bitmaps", {std::move(list)}});
  return {};
}

void add_data_file(InfoFields& details, const Header& header) {
  if (!header.has(incompatible::kDataFile)) return;
  if (header.data_file_name) details.push_back(text("data-file", *header.data_file_name));
  details.push_back(truth("data-file-raw", header.raw_data_file()));
}

Result<InfoFields> details_of(HostFile& file, const Header& header) {
  InfoFields details;
  const bool version_3 = header.version >= 3;
  details.push_back(text("compat", version_3 ? "1.1" : "0.10"));
  details.push_back(text("compression-type", header.compression == Compression::Zstd ? "zstd" : "zlib"));
  if (version_3) {
    details.push_back(truth("lazy-refcounts", (header.compatible & compatible::kLazyRefcounts) != 0));
    CHECK(add_bitmaps(details, file, header));
  }
  details.push_back(number("refcount-bits", std::uint64_t{1} << header.refcount_order));
  add_data_file(details, header);
  if (header.crypt_method != 0) {
    TRY(InfoFields encryption, describe_encryption(file, header));
    details.push_back({"encrypt", {std::move(encryption)}});
  }
  if (version_3) {
    details.push_back(truth("corrupt", header.has(incompatible::kCorrupt)));
    details.push_back(truth("extended-l2", header.has(incompatible::kExtendedL2)));
  }
  return details;
}

}  // namespace

Result<ImageInfo> describe(HostFile& file, const Header& header) {
  ImageInfo info;
  info.format = "qcow2";
  info.virtual_size = header.size;
  TRY(info.actual_size, file.allocated());
  info.cluster_size = header.cluster();
  info.dirty = header.has(incompatible::kDirty);
  info.corrupt = header.has(incompatible::kCorrupt);
  info.encrypted = header.crypt_method != 0;
  info.backing_name = header.backing_name;
  if (header.backing_name) info.backing_format = header.backing_format;
  TRY(const SnapshotTable snapshots, read_snapshot_table(file, header));
  info.snapshots = snapshot_infos(snapshots);
  TRY(info.details, details_of(file, header));
  return info;
}

}  // namespace flatimg::qcow2
