#include "catalog/probe.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "base/endian.h"
#include "base/text.h"

namespace flatimg::catalog {

namespace {

constexpr std::string_view kComposite = "composite_disk\x1d";
constexpr std::string_view kQcow = "QFI\xfb";
constexpr std::string_view kSparse = "\x3a\xff\x26\xed";
constexpr std::string_view kZstd = "\x28\xb5\x2f\xfd";

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

// 0x184D2A50 to 0x184D2A5F, little-endian.
bool is_zstd_skippable(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && (load_le<std::uint32_t>(bytes, 0) & 0xfffffff0) == 0x184D2A50;
}

}  // namespace

std::string format_of(std::span<const std::byte> bytes) {
  if (starts_with(bytes, kComposite)) return "composite";
  if (starts_with(bytes, kQcow)) return bytes.size() >= 8 && load_be<std::uint32_t>(bytes, 4) == 1 ? "qcow" : "qcow2";
  if (starts_with(bytes, kSparse)) return "sparse";
  if (starts_with(bytes, kZstd) || is_zstd_skippable(bytes)) return "zstd";
  return "raw";
}

Result<std::string> probe(HostFile& file) {
  TRY(const ByteCount size, file.size());
  std::array<std::byte, 512> sector{};  // one aligned read, which O_DIRECT devices take as well
  CHECK(file.read(HostOffset(0), sector));
  return format_of(std::span(sector).first(std::min<std::uint64_t>(sector.size(), size.value())));
}

bool is_written_in_place(const std::string& format) { return format != "sparse" && format != "zstd"; }

Result<void> must_be_a_format(const std::string& word, const std::string& path) {
  const auto& names = format_names();
  if (std::ranges::find(names, word) != names.end()) return {};
  return fail(ErrorKind::BadUsage, "{}: unknown format \"{}\": use one of {}", shown(path), shown(word),
              fmt::join(names, " "));
}

const std::vector<std::string>& format_names() {
  static const std::vector<std::string> names{"raw", "qcow2", "qcow", "sparse", "composite", "zstd"};
  return names;
}

}  // namespace flatimg::catalog
