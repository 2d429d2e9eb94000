#include "qcow1/create.h"

#include <array>

#include "base/checked.h"
#include "base/endian.h"
#include "base/limits.h"
#include "host/host_file.h"
#include "qcow1/l1_table.h"
#include "qcow1/layout.h"

namespace flatimg::qcow1 {

namespace {

// The header that the options ask for, with the places of everything.
Header planned(const CreateOptions& options) {
  Header header;
  header.size = options.size;
  header.crypt_method = options.encrypted ? 1 : 0;
  header.backing_name = options.backing_name;
  const bool sectors = options.xen == Xen::No && options.backing_name;
  header.cluster_bits = sectors ? 9 : 12;
  header.l2_bits = sectors ? 12 : 9;
  if (options.xen != Xen::No) header.xen.emplace();
  const std::uint64_t name = options.backing_name ? options.backing_name->size() : 0;
  const ByteCount alignment = header.xen ? kXenAlignment : ByteCount(8);
  header.l1_table = align_up(HostOffset(0) + header.own_bytes() + ByteCount(name), alignment);
  header.l1_entries = ceil_divide(options.size.value(), header.cluster().value() << header.l2_bits);
  return header;
}

Result<void> describe_xen(Header& header, Xen xen) {
  if (!header.xen) return {};
  header.xen->flags = xen_flag::kL1BigEndian | (xen == Xen::Sparse ? xen_flag::kSparse : 0);
  if (xen == Xen::Preallocated) header.xen->clusters_at_once = static_cast<std::uint32_t>(header.l2_entries());
  const std::vector<std::uint64_t> nothing(header.l1_entries);
  TRY(header.xen->checksum, l1_checksum(nothing, ByteOrder::Big));
  return {};
}

std::array<std::byte, 64> bytes_of(const Header& header) {
  std::array<std::byte, 64> memory{};
  const std::span<std::byte> bytes(memory);
  store_be(bytes, 0, kMagic);
  store_be(bytes, 4, std::uint32_t{1});
  if (header.backing_name) {
    store_be(bytes, 8, header.own_bytes().value());
    store_be(bytes, 16, static_cast<std::uint32_t>(header.backing_name->size()));
  }
  store_be(bytes, 24, header.size.value());
  bytes[32] = static_cast<std::byte>(header.cluster_bits);
  bytes[33] = static_cast<std::byte>(header.l2_bits);
  store_be(bytes, 36, header.crypt_method);
  store_be(bytes, 40, header.l1_table.value());
  if (!header.xen) return memory;
  store_be(bytes, 48, kXenMagic);
  store_be(bytes, 52, header.xen->checksum);
  store_be(bytes, 56, header.xen->clusters_at_once);
  store_be(bytes, 60, header.xen->flags);
  return memory;
}

// Where the file of an empty image ends: QEMU writes L1 tables in sectors, tapdisk in pages.
HostOffset end_of(const Header& header) {
  if (header.xen) return align_up(header.l1_range().end(), kXenAlignment);
  return header.l1_table + align_up(header.l1_range().length, kSector);
}

Result<void> make_room(HostFile& file, const Header& header, Xen xen) {
  const HostOffset end = end_of(header);
  HostRange data{end, ByteCount(0)};
  if (xen == Xen::Preallocated) {
    const ByteCount extent = header.l2_bytes() + header.cluster() * header.l2_entries();
    data.length = extent * header.l1_entries;
  }
  if (!file.is_block_device()) {
    CHECK(file.resize(data.end() - HostOffset(0)));
    return data.empty() ? Result<void>() : file.reserve(data);
  }
  TRY(const ByteCount capacity, file.size());
  if (capacity < data.end() - HostOffset(0)) {
    return fail(ErrorKind::NoSpace, "the device has only {} bytes", capacity.value());
  }
  return file.zero(HostRange::between(HostOffset(0), end), Space::Keep);
}

}  // namespace

Result<void> check_options(const CreateOptions& options) {
  const auto refused = [](std::string_view why) { return fail(ErrorKind::BadUsage, "{}", why); };
  if (options.size.is_zero()) return refused("Image size is too small (must be at least one sector)");
  if (options.size > limits::kDisk) return refused("Image size is too large");
  if (options.backing_name && options.backing_name->size() > limits::kQcow1BackingName) {
    return refused("Backing file name too long: 1023 bytes are possible");
  }
  if (options.xen == Xen::Preallocated && options.backing_name) {
    return refused("'xen=preallocated' and a backing file exclude each other: use xen=sparse");
  }
  if (options.xen == Xen::Preallocated && options.encrypted) {
    return refused("'xen=preallocated' and encryption exclude each other: use xen=sparse");
  }
  if (planned(options).l1_range().length > limits::kQcow1L1Table) {
    return refused("Image size is too large for its L1 table: use qcow2");
  }
  return {};
}

Result<void> create(HostFile& file, const CreateOptions& options) {
  CHECK(check_options(options));
  if (options.size.value() % 512 != 0) return fail(ErrorKind::BadUsage, "Image size must be a multiple of 512");
  Header header = planned(options);
  CHECK(describe_xen(header, options.xen));
  CHECK(make_room(file, header, options.xen));
  if (header.backing_name) {
    CHECK(file.write(HostOffset(0) + header.own_bytes(), std::as_bytes(std::span(*header.backing_name))));
  }
  CHECK(file.barrier());
  const auto bytes = bytes_of(header);
  CHECK(file.write(HostOffset(0), std::span<const std::byte>(bytes).first(header.own_bytes().value())));
  return file.barrier();
}

}  // namespace flatimg::qcow1
