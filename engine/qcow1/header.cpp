#include "qcow1/header.h"

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "base/endian.h"
#include "base/limits.h"
#include "base/text.h"
#include "host/host_file.h"

namespace flatimg::qcow1 {

namespace {

using Bytes = std::span<const std::byte>;

constexpr unsigned kLeastClusterBits = 9;
constexpr unsigned kMostClusterBits = 16;
constexpr unsigned kLeastL2Bits = 6;
constexpr unsigned kMostL2Bits = 13;

Failure invalid(std::string_view why) { return fail(ErrorKind::InvalidImage, "{}", why); }

Result<void> check_kind(Bytes bytes, ByteCount file_size) {
  if (file_size < kHeaderBytes || load_be<std::uint32_t>(bytes, 0) != kMagic) return invalid("this is no qcow image");
  const auto version = load_be<std::uint32_t>(bytes, 4);
  if (version == 1) return {};
  return fail(ErrorKind::Unsupported, "the image has version {}, and the format qcow is version 1: use format=qcow2",
              version);
}

Result<void> read_geometry(Header& header, Bytes bytes) {
  const auto size = load_be<std::uint64_t>(bytes, 24);
  header.cluster_bits = std::to_integer<unsigned>(bytes[32]);
  header.l2_bits = std::to_integer<unsigned>(bytes[33]);
  header.crypt_method = load_be<std::uint32_t>(bytes, 36);
  header.l1_table = HostOffset(load_be<std::uint64_t>(bytes, 40));
  if (header.cluster_bits < kLeastClusterBits || header.cluster_bits > kMostClusterBits) {
    return fail(ErrorKind::InvalidImage, "a cluster size of 2^{} bytes is impossible: 2^9 to 2^16 are possible",
                header.cluster_bits);
  }
  if (header.l2_bits < kLeastL2Bits || header.l2_bits > kMostL2Bits) {
    return fail(ErrorKind::InvalidImage, "L2 tables of 2^{} entries are impossible: 2^6 to 2^13 are possible",
                header.l2_bits);
  }
  if (header.crypt_method > 1) {
    return fail(ErrorKind::InvalidImage, "encryption method {} is unknown", header.crypt_method);
  }
  if (size <= 1) return fail(ErrorKind::InvalidImage, "a disk of {} bytes is too small", size);
  if (size > limits::kDisk.value()) return fail(ErrorKind::InvalidImage, "a disk of {} bytes is too large", size);
  header.l1_entries = ceil_divide(size, header.cluster().value() << header.l2_bits);
  header.size = align_down(ByteCount(size), 512_B);
  return {};
}

void read_xen_extension(Header& header, Bytes bytes, std::uint64_t backing_at) {
  if (load_be<std::uint32_t>(bytes, 48) != kXenMagic || !(header.l1_table % kXenAlignment).is_zero()) return;
  if (backing_at != 0 && backing_at < kHeaderWithXenBytes.value()) return;  // the magic is part of a name
  header.xen = XenExtension{load_be<std::uint32_t>(bytes, 52), load_be<std::uint32_t>(bytes, 56),
                            load_be<std::uint32_t>(bytes, 60)};
}

Result<void> check_l1_place(const Header& header, ByteCount file_size) {
  if (header.l1_range().length > limits::kQcow1L1Table) {
    return fail(ErrorKind::Limit, "an L1 table of {} bytes is too large: {} are possible",
                header.l1_range().length.value(), limits::kQcow1L1Table.value());
  }
  if (header.l1_table.value() < header.own_bytes().value()) return invalid("the L1 table would lie on the header");
  const auto end = checked_add(header.l1_table.value(), header.l1_range().length.value());
  if (!end || *end > file_size.value()) {
    return fail(ErrorKind::InvalidImage,
                "the L1 table at byte {} lies behind the end of the file: the image is truncated",
                header.l1_table.value());
  }
  return {};
}

// Where the name stands, or nothing. A name of no bytes is none, as QEMU has it.
Result<std::optional<HostRange>> backing_place(const Header& header, Bytes bytes, ByteCount file_size) {
  const HostRange name{HostOffset(load_be<std::uint64_t>(bytes, 8)), ByteCount(load_be<std::uint32_t>(bytes, 16))};
  if (name.begin.value() == 0 || name.length.is_zero()) return std::optional<HostRange>();
  if (name.length.value() > limits::kQcow1BackingName) {
    return fail(ErrorKind::InvalidImage, "a backing file name of {} bytes is too long: {} are possible",
                name.length.value(), limits::kQcow1BackingName);
  }
  if (name.begin.value() < header.own_bytes().value()) return invalid("the backing file name would lie on the header");
  const auto end = checked_add(name.begin.value(), name.length.value());
  if (!end || *end > file_size.value()) {
    return invalid("the backing file name lies behind the end of the file: the image is truncated");
  }
  if (name.overlaps(header.l1_range())) return invalid("the backing file name lies on the L1 table");
  return std::optional(name);
}

Result<Header> parse(HostFile& file) {
  TRY(const ByteCount size, file.size());
  std::array<std::byte, 512> sector{};
  CHECK(file.read(HostOffset(0), sector));
  const Bytes bytes(sector);
  CHECK(check_kind(bytes, size));
  Header header;
  CHECK(read_geometry(header, bytes));
  read_xen_extension(header, bytes, load_be<std::uint64_t>(bytes, 8));
  CHECK(check_l1_place(header, size));
  TRY(const auto name, backing_place(header, bytes, size));
  if (name) {
    header.backing_place = *name;
    header.backing_name.emplace(name->length.value(), '\0');
    CHECK(file.read(name->begin, std::as_writable_bytes(std::span(*header.backing_name))));
  }
  return header;
}

}  // namespace

Result<Header> read_header(HostFile& file) {
  auto header = parse(file);
  if (!header) return Failure(std::move(header.error()).within(shown(file.name())));
  return header;
}

}  // namespace flatimg::qcow1
