#include "crypto/derive.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <ctime>

#include "base/checked.h"
#include "base/secret.h"
#include "crypto/library.h"

namespace flatimg::crypto {

Result<void> digest(Hash hash, std::span<const std::byte> bytes, std::span<std::byte> out) {
  CHECK(use_library());
  if (gcry_md_test_algo(library_hash(hash)) != 0) {
    return fail(ErrorKind::Unsupported, "libgcrypt does not offer the hash {} here", word_for(hash));
  }
  std::array<std::byte, kLargestDigest> whole{};
  gcry_md_hash_buffer(library_hash(hash), whole.data(), bytes.data(), bytes.size());
  std::memcpy(out.data(), whole.data(), std::min(out.size(), digest_bytes(hash)));
  ::explicit_bzero(whole.data(), whole.size());
  return {};
}

Result<void> pbkdf2(Hash hash, std::span<const std::byte> passphrase, std::span<const std::byte> salt,
                    std::uint32_t iterations, std::span<std::byte> out) {
  CHECK(use_library());
  const void* phrase = passphrase.empty() ? "" : static_cast<const void*>(passphrase.data());
  const auto error = gcry_kdf_derive(phrase, passphrase.size(), GCRY_KDF_PBKDF2, library_hash(hash), salt.data(),
                                     salt.size(), iterations, out.size(), out.data());
  if (error != 0) return library_failure(error, "deriving a key from the passphrase");
  return {};
}

std::uint64_t rounds(Hash hash, std::uint32_t iterations, std::size_t bytes) {
  return iterations * ceil_divide(bytes, digest_bytes(hash));
}

// The time of the thread, not of the clock on the wall: other work on the machine must not make a weak header.
Result<std::uint64_t> iterations_per_second(Hash hash, std::size_t bytes) {
  constexpr std::chrono::nanoseconds kLongEnough = std::chrono::milliseconds(20);
  const auto thread_time = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  };
  Secret out(bytes);
  for (std::uint32_t iterations = 1000;; iterations *= 2) {
    const auto begin = thread_time();
    CHECK(pbkdf2(hash, std::as_bytes(std::span("speed")), std::as_bytes(std::span("salt of the same")), iterations,
                 out.bytes()));
    const auto taken = thread_time() - begin;
    if (taken < kLongEnough && iterations < 1u << 30) continue;
    const double seconds = std::max(std::chrono::duration<double>(taken).count(), 1e-6);
    return static_cast<std::uint64_t>(iterations / seconds);
  }
}

Result<void> fill_random(std::span<std::byte> out) {
  CHECK(use_library());
  gcry_randomize(out.data(), out.size(), GCRY_STRONG_RANDOM);
  return {};
}

Result<void> fill_key(std::span<std::byte> out) {
  CHECK(use_library());
  gcry_randomize(out.data(), out.size(), GCRY_VERY_STRONG_RANDOM);
  return {};
}

bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b) {
  if (a.size() != b.size()) return false;
  std::byte difference{0};
  for (std::size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == std::byte{0};
}

}  // namespace flatimg::crypto
