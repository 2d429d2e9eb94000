// The L1 table as it is read: its byte order, its checksum, and whether it may be used.
//
// Early versions of tapdisk wrote it in the byte order of the machine. A flag of the extension says that it is
// big-endian; where the flag is missing the table is looked at: an order is possible when every entry is 0 or a page of
// the file, and the order of the machine is preferred (sheet section 7.1).
//
// The checksum is the first word of the table's MD5. tapdisk trusts the extents of an image (7.3) only where it is
// right.
#pragma once

#include <vector>

#include "base/result.h"
#include "qcow1/header.h"

namespace flatimg::qcow1 {

enum class ByteOrder : unsigned char { Big, Little };

struct L1Table {
  std::vector<std::uint64_t> words;  // offsets of L2 tables; 0: none
  ByteOrder order = ByteOrder::Big;  // in the file
  bool checksum_right = false;       // of an image with Xen's extension
};

/// Reads the table. CorruptImage when it makes sense in no byte order, or when its entries cannot be L2 tables: not
/// aligned to 512 bytes, on the header or another table, or behind the end of the file.
///
/// One table may begin right behind the end of the file: QEMU records an L2 table before it writes it, and a crash
/// between the two leaves that. It reads as empty.
Result<L1Table> read_l1_table(HostFile& file, const Header& header);

/// What the extension of an image with this table has to say.
Result<std::uint32_t> l1_checksum(const std::vector<std::uint64_t>& words, ByteOrder order);

/// Whether tapdisk finds data by arithmetic: each L2 table is followed by all of its clusters (sheet section 7.3).
[[nodiscard]] bool in_extents(const Header& header, const L1Table& table);

}  // namespace flatimg::qcow1
