// The header fields that can change together: size, L1 table, refcount table and snapshots, bytes 24 to 71. They lie in
// one sector, so that one write switches all of them or none.
//
// Whoever switches reads the fields first, changes what is new and writes them back as a whole.
#pragma once

#include <array>

#include "host/host_file.h"

namespace flatimg::qcow2 {

class HeaderCore {
 public:
  static constexpr HostOffset kAt{24};

  /// The fields as they are on disk.
  static Result<HeaderCore> read(HostFile& file);

  void set_size(ByteCount size);
  void set_l1(HostOffset at, std::uint32_t entries);
  void set_refcount_table(HostOffset at, std::uint32_t clusters);
  void set_snapshots(HostOffset table, std::uint32_t count);

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::array<std::byte, 48> bytes_{};
};

}  // namespace flatimg::qcow2
