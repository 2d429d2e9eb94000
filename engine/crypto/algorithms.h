// The ciphers, modes, IV generators and hashes that LUKS headers name, and the words for them (those of QEMU and
// cryptsetup).
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flatimg::crypto {

enum class Family : unsigned char { Aes, Serpent, Twofish, Cast5 };
enum class Mode : unsigned char { Xts, Cbc, Ctr, Ecb };
/// What a sector's IV is made of: its number in 32 or 64 bits, or the latter enciphered with the hash of the key.
enum class Generator : unsigned char { Plain, Plain64, Essiv };
enum class Hash : unsigned char { Md5, Sha1, Sha224, Sha256, Sha384, Sha512, Ripemd160 };

/// Everything that says how a sector is enciphered, but the key.
struct CipherSpec {
  Family family = Family::Aes;
  unsigned key_bits = 256;  // of one key; xts takes two of them
  Mode mode = Mode::Xts;
  Generator generator = Generator::Plain64;
  std::optional<Hash> generator_hash;  // essiv needs one; the others carry it without a meaning

  /// Bytes of key that the cipher takes.
  [[nodiscard]] std::size_t key_bytes() const { return key_bits / 8 * (mode == Mode::Xts ? 2 : 1); }
  friend bool operator==(const CipherSpec&, const CipherSpec&) = default;
};

/// Unsupported, with the reason, for a combination that does not exist.
Result<void> check_spec(const CipherSpec& spec);

inline constexpr std::size_t kLargestDigest = 64;
[[nodiscard]] std::size_t digest_bytes(Hash hash);

// --- words ----------------------------------------------------------------------------------------------------------

[[nodiscard]] std::string_view word_for(Family family);
[[nodiscard]] std::string_view word_for(Mode mode);
[[nodiscard]] std::string_view word_for(Generator generator);
[[nodiscard]] std::string_view word_for(Hash hash);

[[nodiscard]] std::optional<Hash> hash_named(std::string_view word);
[[nodiscard]] std::optional<Mode> mode_named(std::string_view word);
[[nodiscard]] std::optional<Generator> generator_named(std::string_view word);

/// "aes-256": a family and the bits of its key.
struct Algorithm {
  Family family;
  unsigned key_bits;
};
[[nodiscard]] std::optional<Algorithm> algorithm_named(std::string_view word);

/// "xts-plain64", "cbc-essiv:sha256": mode, generator and its hash as a LUKS header spells them.
[[nodiscard]] std::string mode_text(const CipherSpec& spec);

/// The reverse, together with the cipher's name ("aes") and the length of the whole key. Unsupported when something of
/// it is not known.
Result<CipherSpec> spec_from(std::string_view cipher, std::string_view mode_text, std::size_t key_bytes);

}  // namespace flatimg::crypto
