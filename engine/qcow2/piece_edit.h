// A piece of a table that may be corrected: a copy is made when the first word changes, and goes back as one write.
#pragma once

#include "base/endian.h"
#include "host/host_file.h"

namespace flatimg::qcow2 {

class PieceEdit {
 public:
  PieceEdit(HostOffset at, std::span<const std::byte> bytes) : at_(at), bytes_(bytes) {}

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  /// The word as it was read.
  [[nodiscard]] std::uint64_t word(std::size_t at) const { return load_be<std::uint64_t>(bytes_, at); }

  void set(std::size_t at, std::uint64_t word) {
    if (copy_.empty()) {
      copy_.assign(bytes_.begin(), bytes_.end());
      first_ = at;
    }
    store_be(std::span(copy_), at, word);
    end_ = at + sizeof word;
  }
  /// Writes from the first word to the last one that was set; words are set in rising order.
  Result<void> write_to(HostFile& file) const {
    if (copy_.empty()) return {};
    return file.write(at_ + ByteCount(first_), std::span(copy_).subspan(first_, end_ - first_));
  }

 private:
  HostOffset at_;
  std::span<const std::byte> bytes_;
  std::vector<std::byte> copy_;
  std::size_t first_ = 0;
  std::size_t end_ = 0;
};

}  // namespace flatimg::qcow2
