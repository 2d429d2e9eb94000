// The encryption header as `info` shows it (sheet section 11): what is in clear text, no key material.
#include <array>

#include "base/text.h"
#include "crypto/luks_header.h"
#include "host/host_file.h"
#include "qcow2/describe.h"
#include "qcow2/header.h"

namespace flatimg::qcow2 {

namespace {

InfoValue slot_info(const crypto::LuksSlot& slot) {
  InfoFields fields{{"active", {slot.active}}};
  if (slot.active) fields.push_back({"iters", {std::uint64_t{slot.iterations}}});
  fields.push_back({"key-offset", {slot.material.value()}});
  if (slot.active) fields.push_back({"stripes", {std::uint64_t{slot.stripes}}});
  return {std::move(fields)};
}

// "xts-plain64" and 64 bytes of key are mode xts, generator plain64 and, as xts needs two keys, a cipher of 256 bits.
// The hash of a generator that uses none is not told, as qemu-img does not.
void add_cipher(InfoFields& fields, const crypto::LuksHeader& header) {
  const std::string cipher_mode = header.mode.substr(0, header.mode.find('-'));
  const std::string generator =
      header.mode.size() > cipher_mode.size() ? header.mode.substr(cipher_mode.size() + 1) : "";
  const std::uint64_t key_bits = std::uint64_t{header.key_bytes} * 8;
  const std::string generator_name = generator.substr(0, generator.find(':'));
  fields.push_back({"ivgen-alg", {shown(generator_name)}});
  if (generator_name == "essiv" && generator.size() > generator_name.size()) {
    fields.push_back({"ivgen-hash-alg", {shown(generator.substr(generator_name.size() + 1))}});
  }
  fields.push_back({"hash-alg", {shown(header.hash)}});
  fields.push_back(
      {"cipher-alg", {fmt::format("{}-{}", shown(header.cipher), cipher_mode == "xts" ? key_bits / 2 : key_bits)}});
  fields.push_back({"uuid", {shown(header.uuid)}});
  fields.push_back({"format", {std::string("luks")}});
  fields.push_back({"cipher-mode", {shown(cipher_mode)}});
}

InfoFields luks_info(const crypto::LuksHeader& header) {
  InfoFields fields;
  add_cipher(fields, header);
  InfoList slots;
  for (const crypto::LuksSlot& slot : header.slots) slots.push_back(slot_info(slot));
  fields.push_back({"slots", {std::move(slots)}});
  fields.push_back({"payload-offset", {header.payload.value()}});
  fields.push_back({"master-key-iters", {std::uint64_t{header.digest_iterations}}});
  return fields;
}

}  // namespace

Result<InfoFields> describe_encryption(HostFile& file, const Header& header) {
  if (header.crypt_method == 1) return InfoFields{{"format", {std::string("aes")}}};
  std::array<std::byte, crypto::kLuksHeaderBytes> bytes{};
  CHECK(file.read(header.crypto_header->begin, bytes));
  TRY(const crypto::LuksHeader luks, crypto::parse_luks_header(bytes));
  return luks_info(luks);
}

}  // namespace flatimg::qcow2
