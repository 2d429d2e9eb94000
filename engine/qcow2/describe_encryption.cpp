// The encryption header as `info` shows it (sheet section 11): what is in clear text, no key material.
#include <array>

#include "base/endian.h"
#include "base/text.h"
#include "host/host_file.h"
#include "qcow2/describe.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

namespace {

using Bytes = std::span<const std::byte>;

// LUKS version 1 (LUKS On-Disk Format Specification 1.2, figure 1 and 2).
constexpr std::string_view kLuksMagic{"LUKS\xba\xbe\x00\x01", 8};
constexpr std::size_t kLuksHeader = 592;
constexpr std::size_t kSlots = 8;
constexpr std::size_t kFirstSlot = 208;
constexpr std::size_t kSlotBytes = 48;
constexpr std::uint32_t kSlotActive = 0x00AC71F3;
constexpr std::uint64_t kSector = 512;

std::string text_at(Bytes header, std::size_t at, std::size_t bytes) {
  const std::string text(reinterpret_cast<const char*>(header.subspan(at, bytes).data()), bytes);
  return shown(text.substr(0, text.find('\0')));
}

InfoValue slot_info(Bytes slot) {
  const bool active = load_be<std::uint32_t>(slot, 0) == kSlotActive;
  InfoFields fields{{"active", {active}}};
  if (active) fields.push_back({"iters", {std::uint64_t{load_be<std::uint32_t>(slot, 4)}}});
  fields.push_back({"key-offset", {load_be<std::uint32_t>(slot, 40) * kSector}});
  if (active) fields.push_back({"stripes", {std::uint64_t{load_be<std::uint32_t>(slot, 44)}}});
  return {std::move(fields)};
}

// "xts-plain64" and 64 bytes of key are mode xts, generator plain64 and, as xts needs two keys, a cipher of 256 bits.
void add_cipher(InfoFields& fields, Bytes header) {
  const std::string mode = text_at(header, 40, 32);
  const std::string cipher_mode = mode.substr(0, mode.find('-'));
  const std::string generator = mode.size() > cipher_mode.size() ? mode.substr(cipher_mode.size() + 1) : "";
  const std::uint64_t key_bits = std::uint64_t{load_be<std::uint32_t>(header, 108)} * 8;
  const std::string generator_name = generator.substr(0, generator.find(':'));
  fields.push_back({"ivgen-alg", {generator_name}});
  if (generator.size() > generator_name.size()) {
    fields.push_back({"ivgen-hash-alg", {generator.substr(generator_name.size() + 1)}});
  }
  fields.push_back({"hash-alg", {text_at(header, 72, 32)}});
  fields.push_back(
      {"cipher-alg", {fmt::format("{}-{}", text_at(header, 8, 32), cipher_mode == "xts" ? key_bits / 2 : key_bits)}});
  fields.push_back({"uuid", {text_at(header, 168, 40)}});
  fields.push_back({"format", {std::string("luks")}});
  fields.push_back({"cipher-mode", {cipher_mode}});
}

InfoFields luks_info(Bytes header) {
  InfoFields fields;
  add_cipher(fields, header);
  InfoList slots;
  for (std::size_t i = 0; i < kSlots; ++i) slots.push_back(slot_info(header.subspan(kFirstSlot + i * kSlotBytes)));
  fields.push_back({"slots", {std::move(slots)}});
  fields.push_back({"payload-offset", {load_be<std::uint32_t>(header, 104) * kSector}});
  fields.push_back({"master-key-iters", {std::uint64_t{load_be<std::uint32_t>(header, 164)}}});
  return fields;
}

}  // namespace

Result<InfoFields> describe_encryption(HostFile& file, const Header& header) {
  if (header.crypt_method == 1) return InfoFields{{"format", {std::string("aes")}}};
  if (!header.crypto_header)
    return fail(ErrorKind::InvalidImage, "the image is encrypted, but has no encryption header");
  std::array<std::byte, kLuksHeader> luks{};
  CHECK(file.read(header.crypto_header->begin, luks));
  const std::string_view magic(reinterpret_cast<const char*>(luks.data()), kLuksMagic.size());
  if (magic != kLuksMagic) return fail(ErrorKind::InvalidImage, "the encryption header is not one of LUKS version 1");
  return luks_info(luks);
}

}  // namespace flatimg::qcow2
