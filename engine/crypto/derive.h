// Hashes, keys from passphrases (PBKDF2, RFC 8018 with HMAC), random bytes.
#pragma once

#include <cstdint>
#include <span>

#include "crypto/algorithms.h"

namespace flatimg::crypto {

/// The digest of one piece of bytes. `out` has digest_bytes(hash) bytes or fewer: the beginning of the digest then.
Result<void> digest(Hash hash, std::span<const std::byte> bytes, std::span<std::byte> out);

/// Fills `out`. At least one iteration. Takes time: see rounds().
Result<void> pbkdf2(Hash hash, std::span<const std::byte> passphrase, std::span<const std::byte> salt,
                    std::uint32_t iterations, std::span<std::byte> out);

/// The work of one pbkdf2(): iterations times the digests that `bytes` of output need.
[[nodiscard]] std::uint64_t rounds(Hash hash, std::uint32_t iterations, std::size_t bytes);

/// Iterations of pbkdf2() that take about a second of this thread, for `bytes` of output. Takes some 50 ms of it.
Result<std::uint64_t> iterations_per_second(Hash hash, std::size_t bytes);

/// Nobody can guess them: salts, stripes.
Result<void> fill_random(std::span<std::byte> out);
/// Fit for a key that lives as long as its image. Slower: a few dozen bytes at most.
Result<void> fill_key(std::span<std::byte> out);

/// Equal, in a time that does not tell where they differ.
[[nodiscard]] bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b);

}  // namespace flatimg::crypto
