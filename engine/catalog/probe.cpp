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

struct Foreign {
  std::string_view name;
  std::size_t at;
  std::string_view magic;
};

// As their own programs and QEMU recognise them.
constexpr std::array kForeign{
    Foreign{"VMDK", 0, "KDMV"},
    Foreign{"VMDK", 0, "COWD"},
    Foreign{"VMDK", 0, "# Disk DescriptorFile"},
    Foreign{"VHD", 0, "conectix"},
    Foreign{"VHDX", 0, "vhdxfile"},
    Foreign{"VDI", 0x40, "\x7f\x10\xda\xbe"},
    Foreign{"QED", 0, std::string_view("QED\0", 4)},
    Foreign{"Parallels", 0, "WithoutFreeSpace"},
    Foreign{"Parallels", 0, "WithouFreSpacExt"},
};

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

// 0x184D2A50 to 0x184D2A5F, little-endian.
bool is_zstd_skippable(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && (load_le<std::uint32_t>(bytes, 0) & 0xfffffff0) == 0x184D2A50;
}

struct FirstSector {
  std::array<std::byte, 512> bytes{};  // one aligned read, which O_DIRECT devices take as well
  std::size_t size = 0;

  static Result<FirstSector> of(HostFile& file) {
    FirstSector sector;
    TRY(const ByteCount size, file.size());
    CHECK(file.read(HostOffset(0), sector.bytes));
    sector.size = std::min<std::uint64_t>(sector.bytes.size(), size.value());
    return sector;
  }
  [[nodiscard]] std::span<const std::byte> there() const { return std::span(bytes).first(size); }
};

}  // namespace

std::string format_of(std::span<const std::byte> bytes) {
  if (starts_with(bytes, kComposite)) return "composite";
  if (starts_with(bytes, kQcow)) return bytes.size() >= 8 && load_be<std::uint32_t>(bytes, 4) == 1 ? "qcow" : "qcow2";
  if (starts_with(bytes, kSparse)) return "sparse";
  if (starts_with(bytes, kZstd) || is_zstd_skippable(bytes)) return "zstd";
  return "raw";
}

std::optional<std::string_view> foreign_format_of(std::span<const std::byte> bytes) {
  for (const Foreign& one : kForeign) {
    if (bytes.size() > one.at && starts_with(bytes.subspan(one.at), one.magic)) return one.name;
  }
  return std::nullopt;
}

Result<std::string> probe(HostFile& file) {
  TRY(const FirstSector sector, FirstSector::of(file));
  return format_of(sector.there());
}

Result<std::optional<std::string_view>> probe_foreign(HostFile& file) {
  TRY(const FirstSector sector, FirstSector::of(file));
  return foreign_format_of(sector.there());
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
