#include "crypto/luks_header.h"

#include <algorithm>
#include <cstring>

#include "base/endian.h"
#include "base/limits.h"
#include "base/text.h"
#include "crypto/sector_cipher.h"

namespace flatimg::crypto {

namespace {

using Bytes = std::span<const std::byte>;

constexpr std::string_view kMagic{"LUKS\xba\xbe", 6};
constexpr std::uint16_t kVersion = 1;
constexpr std::uint32_t kActive = 0x00AC71F3;
constexpr std::uint32_t kInactive = 0x0000DEAD;

// Where the fields are.
constexpr std::size_t kCipherName = 8, kCipherMode = 40, kHashName = 72, kNameBytes = 32;
constexpr std::size_t kPayload = 104, kKeyBytes = 108, kDigest = 112, kDigestSalt = 132, kDigestIterations = 164;
constexpr std::size_t kUuid = 168, kUuidBytes = 40, kFirstSlot = 208, kSlotBytes = 48;
constexpr std::size_t kSlotIterations = 4, kSlotSalt = 8, kSlotMaterial = 40, kSlotStripes = 44;

std::string text_at(Bytes bytes, std::size_t at, std::size_t length) {
  const std::string text(reinterpret_cast<const char*>(bytes.subspan(at, length).data()), length);
  return text.substr(0, text.find('\0'));
}

void put_text(std::span<std::byte> bytes, std::size_t at, std::size_t length, std::string_view text) {
  const std::string_view fits = text.substr(0, length - 1);
  std::memcpy(bytes.subspan(at, length).data(), fits.data(), fits.size());
}

ByteCount sectors_at(Bytes bytes, std::size_t at) { return ByteCount(kSector) * load_be<std::uint32_t>(bytes, at); }

std::uint32_t sectors(ByteCount bytes) { return static_cast<std::uint32_t>(bytes.value() / kSector); }

LuksSlot slot_from(Bytes bytes) {
  LuksSlot slot;
  slot.active = load_be<std::uint32_t>(bytes, 0) == kActive;
  slot.iterations = load_be<std::uint32_t>(bytes, kSlotIterations);
  std::ranges::copy(bytes.subspan(kSlotSalt, kLuksSaltBytes), slot.salt.begin());
  slot.material = sectors_at(bytes, kSlotMaterial);
  slot.stripes = load_be<std::uint32_t>(bytes, kSlotStripes);
  return slot;
}

void put_slot(std::span<std::byte> bytes, const LuksSlot& slot) {
  store_be(bytes, 0, slot.active ? kActive : kInactive);
  store_be(bytes, kSlotIterations, slot.iterations);
  std::ranges::copy(slot.salt, bytes.subspan(kSlotSalt).begin());
  store_be(bytes, kSlotMaterial, sectors(slot.material));
  store_be(bytes, kSlotStripes, slot.stripes);
}

// Bytes of the header that hold the key of a slot; cannot overflow, as both factors have 32 bits.
struct Material {
  std::uint64_t begin;
  std::uint64_t end;
};
Material material_of(const LuksHeader& header, const LuksSlot& slot) {
  const std::uint64_t begin = slot.material.value();
  return {begin, begin + std::uint64_t{header.key_bytes} * slot.stripes};
}

Result<void> check_apart(const LuksHeader& header, std::size_t index) {
  const Material mine = material_of(header, header.slots[index]);
  for (std::size_t other = 0; other < index; ++other) {
    if (!header.slots[other].active) continue;
    const Material theirs = material_of(header, header.slots[other]);
    if (mine.begin < theirs.end && theirs.begin < mine.end) {
      return fail(ErrorKind::InvalidImage, "key slots {} and {} of the encryption header lie on each other", other,
                  index);
    }
  }
  return {};
}

Result<void> check_slot(const LuksHeader& header, std::size_t index, ByteCount area) {
  const LuksSlot& slot = header.slots[index];
  if (slot.iterations == 0) {
    return fail(ErrorKind::InvalidImage, "key slot {} of the encryption header derives its key in no rounds", index);
  }
  if (slot.stripes == 0 || slot.stripes > limits::kLuksStripes) {
    return fail(ErrorKind::InvalidImage, "key slot {} of the encryption header has {} stripes", index, slot.stripes);
  }
  const Material material = material_of(header, slot);
  if (material.begin < kLuksHeaderBytes || material.end > area.value()) {
    return fail(ErrorKind::InvalidImage, "key slot {} lies outside of the encryption header", index);
  }
  return check_apart(header, index);
}

}  // namespace

Result<LuksHeader> parse_luks_header(Bytes bytes) {
  if (bytes.size() < kLuksHeaderBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return fail(ErrorKind::InvalidImage, "the encryption header is no LUKS header");
  }
  if (const auto version = load_be<std::uint16_t>(bytes, kMagic.size()); version != kVersion) {
    return fail(ErrorKind::Unsupported, "the encryption header is one of LUKS version {}: only version 1 is supported",
                version);
  }
  LuksHeader header;
  header.cipher = text_at(bytes, kCipherName, kNameBytes);
  header.mode = text_at(bytes, kCipherMode, kNameBytes);
  header.hash = text_at(bytes, kHashName, kNameBytes);
  header.payload = sectors_at(bytes, kPayload);
  header.key_bytes = load_be<std::uint32_t>(bytes, kKeyBytes);
  std::ranges::copy(bytes.subspan(kDigest, kLuksDigestBytes), header.digest.begin());
  std::ranges::copy(bytes.subspan(kDigestSalt, kLuksSaltBytes), header.digest_salt.begin());
  header.digest_iterations = load_be<std::uint32_t>(bytes, kDigestIterations);
  header.uuid = text_at(bytes, kUuid, kUuidBytes);
  for (std::size_t i = 0; i < kLuksSlots; ++i) header.slots[i] = slot_from(bytes.subspan(kFirstSlot + i * kSlotBytes));
  return header;
}

std::array<std::byte, kLuksHeaderBytes> luks_header_bytes(const LuksHeader& header) {
  std::array<std::byte, kLuksHeaderBytes> memory{};
  const std::span<std::byte> bytes(memory);
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  store_be(bytes, kMagic.size(), kVersion);
  put_text(bytes, kCipherName, kNameBytes, header.cipher);
  put_text(bytes, kCipherMode, kNameBytes, header.mode);
  put_text(bytes, kHashName, kNameBytes, header.hash);
  store_be(bytes, kPayload, sectors(header.payload));
  store_be(bytes, kKeyBytes, header.key_bytes);
  std::ranges::copy(header.digest, bytes.subspan(kDigest).begin());
  std::ranges::copy(header.digest_salt, bytes.subspan(kDigestSalt).begin());
  store_be(bytes, kDigestIterations, header.digest_iterations);
  put_text(bytes, kUuid, kUuidBytes, header.uuid);
  for (std::size_t i = 0; i < kLuksSlots; ++i) put_slot(bytes.subspan(kFirstSlot + i * kSlotBytes), header.slots[i]);
  return memory;
}

Result<LuksAlgorithms> usable(const LuksHeader& header, ByteCount area) {
  LuksAlgorithms found;
  TRY(found.cipher, spec_from(header.cipher, header.mode, header.key_bytes));
  const auto hash = hash_named(header.hash);
  if (!hash) return fail(ErrorKind::Unsupported, "the hash \"{}\" is not supported", shown(header.hash));
  found.hash = *hash;
  if (header.digest_iterations == 0) {
    return fail(ErrorKind::InvalidImage, "the encryption header checks its key in no rounds");
  }
  for (std::size_t i = 0; i < kLuksSlots; ++i) {
    if (header.slots[i].active) CHECK(check_slot(header, i, area));
  }
  return found;
}

}  // namespace flatimg::crypto
