#include "qcow2/layout.h"

#include "base/checked.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

Layout::Layout(const Header& header)
    : version_(header.version),
      cluster_bits_(header.cluster_bits),
      cluster_(header.cluster()),
      refcount_order_(header.refcount_order),
      extended_(header.has(incompatible::kExtendedL2)),
      data_file_(header.has(incompatible::kDataFile)) {}

std::uint64_t Layout::l1_entries_for(ByteCount size) const { return ceil_divide(size.value(), span().value()); }

Result<void> Layout::check_host(std::uint64_t word) const {
  const std::uint64_t host = word & kOffsetMask;
  if (host % cluster_.value() != 0) {
    return fail(ErrorKind::CorruptImage, "an L2 entry points to byte {}, which is not the beginning of a cluster",
                host);
  }
  return {};
}

Result<Meaning> Layout::meaning(Entry entry, unsigned subcluster) const {
  if (is_compressed(entry)) {
    if (data_file_ || entry.bitmap != 0) {
      return fail(ErrorKind::CorruptImage, "L2 entry {:#018x} of a compressed cluster contradicts itself", entry.word);
    }
    return Meaning{Kind::Compressed, false, false, {}};
  }
  if (extended_) return extended_meaning(entry, subcluster);
  if (version_ < 3 && (entry.word & kZeroFlag) != 0) {
    return fail(ErrorKind::CorruptImage, "an L2 entry has the zero flag, which version 2 does not know");
  }
  const std::uint64_t host = entry.word & kOffsetMask;
  const bool copied = (entry.word & kCopied) != 0;
  const bool has_host = host != 0 || (data_file_ && copied);
  const bool zero = (entry.word & kZeroFlag) != 0;
  if (has_host && zero && host % cluster_.value() != 0) return Meaning{Kind::Zero, false, false, {}};
  CHECK(check_host(entry.word));
  const Kind kind = zero ? Kind::Zero : has_host ? Kind::Data : Kind::Unallocated;
  return Meaning{kind, has_host, copied, HostOffset(host)};
}

Result<Meaning> Layout::extended_meaning(Entry entry, unsigned subcluster) const {
  CHECK(check_host(entry.word));
  const std::uint64_t host = entry.word & kOffsetMask;
  const bool copied = (entry.word & kCopied) != 0;
  const bool has_host = host != 0 || (data_file_ && copied);
  const bool allocated = (entry.bitmap >> subcluster & 1) != 0;
  const bool zero = (entry.bitmap >> (subcluster + kSubclusters) & 1) != 0;
  if (allocated && (zero || !has_host)) {
    return fail(ErrorKind::CorruptImage, "the subcluster bitmap {:#018x} of an L2 entry contradicts itself",
                entry.bitmap);
  }
  const Kind kind = zero ? Kind::Zero : allocated ? Kind::Data : Kind::Unallocated;
  return Meaning{kind, has_host, copied, HostOffset(host)};
}

CompressedRange Layout::compressed_range(Entry entry) const {
  const unsigned offset_bits = stream_offset_bits();
  const std::uint64_t at = entry.word & ((std::uint64_t{1} << offset_bits) - 1);
  const std::uint64_t more_sectors = entry.word >> offset_bits & ((std::uint64_t{1} << (cluster_bits_ - 8)) - 1);
  return {HostOffset(at), ByteCount((more_sectors + 1) * 512 - at % 512)};
}

Entry Layout::compressed_entry(HostRange stream) const {
  const std::uint64_t begin = stream.begin.value();
  const std::uint64_t more_sectors = (begin + stream.length.value() - 1) / 512 - begin / 512;
  return {kCompressed | more_sectors << stream_offset_bits() | begin, 0};
}

bool Layout::may_hold_stream(HostOffset end) const { return end.value() >> stream_offset_bits() == 0; }

Entry Layout::data_entry(HostOffset host) const {
  return {host.value() | kCopied, extended_ ? kAllAllocatedBitmap : 0};
}

Entry Layout::zero_entry(std::optional<HostOffset> host) const {
  const std::uint64_t place = host ? host->value() | kCopied : 0;
  return extended_ ? Entry{place, kAllZeroBitmap} : Entry{place | kZeroFlag, 0};
}

}  // namespace flatimg::qcow2
