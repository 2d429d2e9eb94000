// Enciphers and deciphers sectors of 512 bytes, each by itself: the same sector number and the same bytes always give
// the same cipher text (that is how LUKS1 and the old encryption of qcow work).
//
// A cipher context of the library serves one thread at a time, so the object keeps as many as there were threads at
// once. Taking one costs a lock that nobody holds for long, once for each run of sectors.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/ranked_mutex.h"
#include "base/secret.h"
#include "crypto/algorithms.h"

namespace flatimg::crypto {

inline constexpr std::size_t kSector = 512;

class SectorCipher {
 public:
  /// `key` has spec.key_bytes() bytes; it is copied. Unsupported for what the library does not have.
  static Result<std::unique_ptr<SectorCipher>> make(const CipherSpec& spec, std::span<const std::byte> key);
  ~SectorCipher();
  SectorCipher(const SectorCipher&) = delete;
  SectorCipher& operator=(const SectorCipher&) = delete;

  /// In place; whole sectors with ascending numbers. Any thread. NoMemory is the only error to be expected.
  Result<void> encipher(std::uint64_t first_sector, std::span<std::byte> sectors) const;
  Result<void> decipher(std::uint64_t first_sector, std::span<std::byte> sectors) const;

 private:
  class Context;
  using Step = Result<void> (Context::*)(std::uint64_t sector, std::span<std::byte> bytes);

  SectorCipher(const CipherSpec& spec, std::span<const std::byte> key);
  Result<std::unique_ptr<Context>> new_context() const;
  Result<std::unique_ptr<Context>> take() const EXCLUDES(mutex_);
  void put_back(std::unique_ptr<Context> context) const EXCLUDES(mutex_);
  Result<void> run(Step step, std::uint64_t first_sector, std::span<std::byte> sectors) const;

  const CipherSpec spec_;
  Secret key_;
  mutable Mutex mutex_{Rank::Queue};
  mutable std::vector<std::unique_ptr<Context>> idle_ GUARDED_BY(mutex_);
};

}  // namespace flatimg::crypto
