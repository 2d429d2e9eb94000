#include "qcow2/l2_census.h"

#include "base/checked.h"
#include "base/endian.h"

namespace flatimg::qcow2 {

bool RangeCount::add(HostRange range, std::uint64_t times, std::string_view what) {
  if (range.empty()) return true;
  const auto end = checked_add(range.begin.value(), range.length.value());
  // One byte less than a cluster may be missing at the end of the file.
  const auto beyond = checked_add(file_size_.value(), cluster_.value());
  if (!end || (beyond && *end >= *beyond)) {
    note_behind_file(range);
    census_.findings.corruption(times, "{} at {:#x} with {} bytes reaches beyond the end of the file", what,
                                range.begin.value(), range.length.value());
    return false;
  }
  const std::uint64_t last = (*end - 1) / cluster_.value();
  for (std::uint64_t cluster = range.begin / cluster_; cluster <= last; ++cluster) census_.counts.add(cluster, times);
  return true;
}

void RangeCount::note_behind_file(HostRange range) {
  const std::uint64_t first = std::max(range.begin / cluster_, census_.file_clusters) - census_.file_clusters;
  const std::uint64_t end = checked_add(range.begin.value(), range.length.value()).value_or(~std::uint64_t{0});
  const std::uint64_t behind =
      ceil_divide(end, cluster_.value()) - std::min(ceil_divide(end, cluster_.value()), census_.file_clusters);
  for (std::uint64_t n = first; n < std::min<std::uint64_t>(behind, census_.named_behind.size()); ++n) {
    census_.named_behind[n] = true;
  }
}

L2Census::L2Census(const Header& header, const L2Use& use, Census& census, RangeCount& count)
    : header_(header),
      layout_(header),
      use_(use),
      census_(census),
      count_(count),
      whole_clusters_(layout_.extended() || header.has(incompatible::kDataFile)
                          ? 0
                          : std::min(census.file_clusters, count.whole_clusters())) {}

// What nearly all entries are: data of one's own that lies wholly in the file.
bool L2Census::note_quickly(std::uint64_t word) {
  const std::uint64_t host = word & kOffsetMask;
  if ((word & ~kOffsetMask) != kCopied || host % layout_.cluster().value() != 0 || host == 0) return false;
  const std::uint64_t cluster = host / layout_.cluster().value();
  if (cluster >= whole_clusters_) return false;
  census_.counts.add(cluster, use_.all());
  if (use_.by_active > 0) census_.counts.note(cluster, Naming::AsOwn);
  note_neighbours(host);
  return true;
}

void L2Census::read(std::span<const std::byte> piece) {
  if (whole_clusters_ > 0) return read_standard(piece);
  const std::size_t step = layout_.words_per_entry() * 8;
  for (std::size_t at = 0; at + step <= piece.size(); at += step) {
    Entry entry{load_be<std::uint64_t>(piece, at), 0};
    if (layout_.extended()) entry.bitmap = load_be<std::uint64_t>(piece, at + 8);
    if (entry != Entry{}) note(entry);
  }
}

void L2Census::read_standard(std::span<const std::byte> piece) {
  for (std::size_t at = 0; at < piece.size(); at += 8) {
    const auto word = load_be<std::uint64_t>(piece, at);
    if (word != 0 && !note_quickly(word)) note({word, 0});
  }
}

void L2Census::note(Entry entry) {
  if (Layout::is_compressed(entry)) return note_compressed(entry);
  if ((entry.word & kL2Reserved) != 0) corruption("L2 entry {:#018x} has reserved bits set", entry.word);
  if (header_.version < 3 && (entry.word & kZeroFlag) != 0) {
    corruption("L2 entry {:#018x} has the zero flag, which version 2 does not know", entry.word);
  }
  if (names_host_cluster(header_, entry)) return note_host_cluster(entry);
  note_unallocated(entry);
}

void L2Census::note_compressed(Entry entry) {
  if ((entry.word & kCopied) != 0) corruption("compressed L2 entry {:#018x} has the COPIED flag", entry.word);
  if (header_.has(incompatible::kDataFile)) {
    return corruption("compressed L2 entry {:#018x} in an image with a data file", entry.word);
  }
  if (entry.bitmap != 0) return corruption("compressed L2 entry {:#018x} has a subcluster bitmap", entry.word);
  const CompressedRange stream = layout_.compressed_range(entry);
  count_.add({stream.at, stream.length}, use_.all(), "compressed cluster");
  census_.active.allocated += use_.by_active;
  census_.active.compressed += use_.by_active;
  census_.active.fragmented += use_.by_active;  // streams share sectors: no two of them are read at once
}

void L2Census::note_unallocated(Entry entry) {
  if ((entry.bitmap & kAllAllocatedBitmap) != 0) {
    corruption("an L2 entry without a cluster has the subcluster bitmap {:#018x}", entry.bitmap);
  }
}

void L2Census::note_neighbours(std::uint64_t host) {
  census_.active.allocated += use_.by_active;
  if (next_in_row_ != 0 && host != next_in_row_) census_.active.fragmented += use_.by_active;
  next_in_row_ = host + layout_.cluster().value();
}

void L2Census::note_naming(std::uint64_t word) {
  if (use_.by_active == 0) return;
  const bool own = (word & kCopied) != 0;
  if (header_.has(incompatible::kDataFile)) {
    if (!own) census_.doubtful_flags += 1;
    return;
  }
  census_.note_naming((word & kOffsetMask) / layout_.cluster().value(), own ? Naming::AsOwn : Naming::AsShared);
}

void L2Census::note_host_cluster(Entry entry) {
  if ((entry.bitmap >> kSubclusters & entry.bitmap) != 0) {
    corruption("L2 entry {:#018x} has the contradictory subcluster bitmap {:#018x}", entry.word, entry.bitmap);
  }
  const std::uint64_t host = entry.word & kOffsetMask;
  if (host % layout_.cluster().value() != 0) {
    if (reserves_only(header_, entry)) census_.misplaced_zeroes += 1;
    corruption("L2 entry {:#018x} names a place that is not the beginning of a cluster", entry.word);
  }
  note_neighbours(host);
  note_naming(entry.word);
  if (header_.has(incompatible::kDataFile)) return;  // lives in the other file, where nothing is counted
  count_.add({HostOffset(host), layout_.cluster()}, use_.all(), "data cluster");
}

}  // namespace flatimg::qcow2
