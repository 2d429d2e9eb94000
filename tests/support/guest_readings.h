// What a guest would read from a qcow2 image, worked out from the bytes by the plainest of readers: no engine, no
// caches, no judgement of damage. Two images with the same readings hold the same disk and the same snapshots.
//
// As QEMU reads: what lies beyond the end of the file is zeroes, a compressed entry is one whatever else it says, and a
// zero flag beats the rest.
#pragma once

#include <string>
#include <vector>

#include "base/endian.h"
#include "qcow2/header.h"
#include "qcow2/layout.h"

namespace flatimg::test {

class GuestReader {
 public:
  explicit GuestReader(const std::vector<std::byte>& file)
      : file_(file),
        version_(at<std::uint32_t>(4)),
        cluster_(std::uint64_t{1} << at<std::uint32_t>(20)),
        features_(version_ >= 3 ? at<std::uint64_t>(72) : 0) {}

  /// One text for each guest cluster that the active L1 table can name.
  [[nodiscard]] std::vector<std::string> disk() const { return readings(at<std::uint64_t>(40), at<std::uint32_t>(36)); }
  /// The same for the first `most` snapshots.
  [[nodiscard]] std::vector<std::vector<std::string>> snapshots(std::uint64_t most) const {
    std::vector<std::vector<std::string>> all;
    std::uint64_t entry = at<std::uint64_t>(64);
    for (std::uint64_t n = 0; n < std::min<std::uint64_t>(at<std::uint32_t>(60), most); ++n) {
      all.push_back(readings(at<std::uint64_t>(entry), at<std::uint32_t>(entry + 8)));
      entry += 40 + at<std::uint32_t>(entry + 36) + at<std::uint16_t>(entry + 12) + at<std::uint16_t>(entry + 14);
      entry = (entry + 7) / 8 * 8;
    }
    return all;
  }

 private:
  template <class T>
  [[nodiscard]] T at(std::uint64_t offset) const {
    std::array<std::byte, sizeof(T)> bytes{};
    for (std::uint64_t n = 0; n < sizeof(T) && offset + n < file_.size(); ++n) bytes[n] = file_[offset + n];
    return load_be<T>(std::span<const std::byte>(bytes), 0);
  }
  [[nodiscard]] std::string bytes(std::uint64_t offset, std::uint64_t length) const {
    std::string text(length, '\0');
    for (std::uint64_t n = 0; n < length && offset + n < file_.size(); ++n) {
      text[n] = static_cast<char>(file_[offset + n]);
    }
    return text;
  }
  [[nodiscard]] bool has(std::uint64_t feature) const { return (features_ & feature) != 0; }
  [[nodiscard]] bool extended() const { return has(qcow2::incompatible::kExtendedL2); }

  [[nodiscard]] std::vector<std::string> readings(std::uint64_t l1, std::uint32_t entries) const {
    std::vector<std::string> all;
    const std::uint64_t step = extended() ? 16 : 8;
    for (std::uint64_t n = 0; n < std::min(entries, 64u); ++n) {
      const std::uint64_t l2 = at<std::uint64_t>(l1 + n * 8) & qcow2::kOffsetMask;
      for (std::uint64_t entry = 0; entry < cluster_; entry += step) {
        all.push_back(l2 == 0 ? "nothing" : reading(l2 + entry));
      }
    }
    return all;
  }

  [[nodiscard]] std::string reading(std::uint64_t entry) const {
    const auto word = at<std::uint64_t>(entry);
    const std::uint64_t bitmap = extended() ? at<std::uint64_t>(entry + 8) : 0;
    const std::uint64_t host = word & qcow2::kOffsetMask;
    if ((word & qcow2::kCompressed) != 0) return "stream " + stream(word);
    if (!extended() && version_ >= 3 && (word & qcow2::kZeroFlag) != 0) return "zero";
    const std::string map = extended() ? "map " + std::to_string(bitmap) + " " : "";
    if (extended() && (bitmap & qcow2::kAllAllocatedBitmap) == 0) return map;
    if (has(qcow2::incompatible::kDataFile)) return map + "data file " + std::to_string(host);
    return host == 0 ? map + "nothing" : map + "data " + bytes(host, cluster_);
  }
  [[nodiscard]] std::string stream(std::uint64_t word) const {
    const unsigned offset_bits = 70 - static_cast<unsigned>(at<std::uint32_t>(20));
    const std::uint64_t begin = word & ((std::uint64_t{1} << offset_bits) - 1);
    const std::uint64_t sectors = 1 + (word >> offset_bits & (cluster_ / 256 - 1));
    return bytes(begin, sectors * 512 - begin % 512);
  }

  const std::vector<std::byte>& file_;
  std::uint32_t version_;
  std::uint64_t cluster_;
  std::uint64_t features_;
};

}  // namespace flatimg::test
