#include "crypto/luks_keys.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/limits.h"
#include "crypto/af_splitter.h"
#include "crypto/derive.h"
#include "crypto/sector_cipher.h"

namespace flatimg::crypto {

namespace {

constexpr std::uint64_t kSlotAlignment = 4096;
constexpr std::uint32_t kFewestIterations = 1000;

using Bytes = std::span<const std::byte>;

Result<std::unique_ptr<SectorCipher>> slot_cipher(const LuksAlgorithms& algorithms, const LuksSlot& slot,
                                                  Bytes passphrase) {
  Secret key(algorithms.cipher.key_bytes());
  CHECK(pbkdf2(algorithms.hash, passphrase, slot.salt, slot.iterations, key.bytes()));
  return SectorCipher::make(algorithms.cipher, key.bytes());
}

Result<Secret> digest_of(const LuksHeader& header, Hash hash, Bytes master_key) {
  Secret digest(kLuksDigestBytes);
  CHECK(pbkdf2(hash, master_key, header.digest_salt, header.digest_iterations, digest.bytes()));
  return digest;
}

std::uint64_t rounds_of(const LuksHeader& header, const LuksAlgorithms& algorithms, const LuksSlot& slot) {
  return rounds(algorithms.hash, slot.iterations, header.key_bytes) +
         rounds(algorithms.hash, header.digest_iterations, kLuksDigestBytes);
}

// The key that a slot yields with this passphrase; any passphrase yields one.
Result<Secret> key_in_slot(const LuksHeader& header, const LuksAlgorithms& algorithms, const LuksSlot& slot,
                           Bytes passphrase, const ReadArea& read) {
  const std::size_t bytes = std::size_t{header.key_bytes} * slot.stripes;
  Secret split(ceil_divide(bytes, kSector) * kSector);
  CHECK(read(slot.material, split.bytes()));
  TRY(const auto cipher, slot_cipher(algorithms, slot, passphrase));
  CHECK(cipher->decipher(0, split.bytes()));
  return af_merge(algorithms.hash, split.bytes().first(bytes), header.key_bytes);
}

// Active slots, those with the least work first: an expensive one cannot stand in front of the right one.
std::vector<const LuksSlot*> slots_to_try(const LuksHeader& header) {
  std::vector<const LuksSlot*> slots;
  for (const LuksSlot& slot : header.slots) {
    if (slot.active) slots.push_back(&slot);
  }
  std::ranges::stable_sort(slots, {}, &LuksSlot::iterations);
  return slots;
}

// As many iterations as take that long, but never too few, and never more than anybody would open again.
Result<std::uint32_t> iterations_for(Hash hash, std::size_t bytes, std::chrono::milliseconds time) {
  if (time.count() <= 0) return kFewestIterations;
  TRY(const std::uint64_t per_second, iterations_per_second(hash, bytes));
  const auto milliseconds = static_cast<std::uint64_t>(time.count());
  const std::uint64_t most = limits::kLuksRounds / 4 / rounds(hash, 1, bytes);
  const std::uint64_t wanted = checked_multiply(per_second, milliseconds).value_or(~std::uint64_t{0}) / 1000;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(wanted, kFewestIterations, most));
}

std::uint64_t slot_bytes(const CipherSpec& cipher) {
  const std::uint64_t split = std::uint64_t{cipher.key_bytes()} * kLuksStripes;
  return ceil_divide(split, kSlotAlignment) * kSlotAlignment;
}

// A random one (RFC 4122, version 4).
Result<std::string> new_uuid() {
  std::array<std::byte, 16> bytes{};
  CHECK(fill_random(bytes));
  bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", std::to_integer<unsigned>(bytes[i]));
  }
  return text;
}

Result<LuksHeader> header_without_keys(const LuksAlgorithms& algorithms) {
  LuksHeader header;
  header.cipher = word_for(algorithms.cipher.family);
  header.mode = mode_text(algorithms.cipher);
  header.hash = word_for(algorithms.hash);
  header.payload = new_luks_area(algorithms.cipher);
  header.key_bytes = static_cast<std::uint32_t>(algorithms.cipher.key_bytes());
  for (std::size_t i = 0; i < kLuksSlots; ++i) {
    header.slots[i].material = ByteCount(kSlotAlignment + i * slot_bytes(algorithms.cipher));
    header.slots[i].stripes = kLuksStripes;
  }
  TRY(header.uuid, new_uuid());
  CHECK(fill_random(header.digest_salt));
  return header;
}

Result<void> add_digest(LuksHeader& header, Hash hash, Bytes master_key, std::chrono::milliseconds time) {
  TRY(header.digest_iterations, iterations_for(hash, kLuksDigestBytes, time / 8));
  TRY(const Secret digest, digest_of(header, hash, master_key));
  std::ranges::copy(digest.bytes(), header.digest.begin());
  return {};
}

Result<std::vector<std::byte>> fill_slot(LuksSlot& slot, const LuksAlgorithms& algorithms, Bytes master_key,
                                         Bytes passphrase, std::chrono::milliseconds time) {
  slot.active = true;
  CHECK(fill_random(slot.salt));
  TRY(slot.iterations, iterations_for(algorithms.hash, master_key.size(), time));
  TRY(Secret split, af_split(algorithms.hash, master_key, slot.stripes));
  TRY(const auto cipher, slot_cipher(algorithms, slot, passphrase));
  CHECK(cipher->encipher(0, split.bytes()));
  return std::vector<std::byte>(split.bytes().begin(), split.bytes().end());
}

}  // namespace

Result<Secret> unlock(const LuksHeader& header, const LuksAlgorithms& algorithms, Bytes passphrase,
                      const ReadArea& read) {
  std::uint64_t rounds_left = limits::kLuksRounds;
  for (const LuksSlot* slot : slots_to_try(header)) {
    const std::uint64_t rounds = rounds_of(header, algorithms, *slot);
    if (rounds > rounds_left) {
      return fail(
          ErrorKind::Limit,
          "the passphrase opens no cheap key slot, and the next one asks for {} rounds of key derivation, which "
          "takes too long: give the image a slot with a smaller encrypt.iter-time (qemu-img amend)",
          rounds);
    }
    rounds_left -= rounds;
    TRY(Secret key, key_in_slot(header, algorithms, *slot, passphrase, read));
    TRY(const Secret digest, digest_of(header, algorithms.hash, key.bytes()));
    if (equal_in_constant_time(digest.bytes(), header.digest)) return key;
  }
  return fail(ErrorKind::Denied, "the passphrase is wrong");
}

ByteCount new_luks_area(const CipherSpec& cipher) {
  return ByteCount(kSlotAlignment + kLuksSlots * slot_bytes(cipher));
}

Result<void> check_creatable(const LuksAlgorithms& algorithms) {
  CHECK(check_spec(algorithms.cipher));
  if (algorithms.cipher.key_bytes() * kLuksStripes % kSector != 0) {
    return fail(ErrorKind::Unsupported,
                "a key of {} bytes makes a key slot that does not end with a sector, and such images other programs "
                "cannot open: use 128 or 256 bits",
                algorithms.cipher.key_bytes());
  }
  const std::vector<std::byte> key(algorithms.cipher.key_bytes());
  CHECK(SectorCipher::make(algorithms.cipher, key));
  return {};
}

Result<NewLuks> make_luks(const LuksAlgorithms& algorithms, Bytes passphrase,
                          std::chrono::milliseconds iteration_time) {
  CHECK(check_creatable(algorithms));
  Secret master_key(algorithms.cipher.key_bytes());
  CHECK(fill_key(master_key.bytes()));
  NewLuks made;
  TRY(made.header, header_without_keys(algorithms));
  CHECK(add_digest(made.header, algorithms.hash, master_key.bytes(), iteration_time));
  TRY(made.material, fill_slot(made.header.slots[0], algorithms, master_key.bytes(), passphrase, iteration_time));
  return made;
}

}  // namespace flatimg::crypto
