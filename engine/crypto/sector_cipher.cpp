#include "crypto/sector_cipher.h"

#include <cassert>
#include <cstring>

#include "crypto/derive.h"
#include "crypto/library.h"

namespace flatimg::crypto {

namespace {

constexpr std::size_t kLargestBlock = 16;

/// One handle of the library.
class Handle {
 public:
  Handle() = default;
  ~Handle() { gcry_cipher_close(handle_); }  // wipes the expanded key
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  Result<void> open(int cipher, int mode, std::span<const std::byte> key) {
    if (const auto error = gcry_cipher_open(&handle_, cipher, mode, GCRY_CIPHER_SECURE); error != 0) {
      return library_failure(error, "preparing a cipher");
    }
    if (const auto error = gcry_cipher_setkey(handle_, key.data(), key.size()); error != 0) {
      return library_failure(error, "preparing the key of a cipher");
    }
    return {};
  }
  [[nodiscard]] gcry_cipher_hd_t get() const { return handle_; }

 private:
  gcry_cipher_hd_t handle_ = nullptr;
};

Result<int> cipher_for(Family family, unsigned key_bits) {
  const int cipher = library_cipher(family, key_bits);
  if (cipher != GCRY_CIPHER_NONE && gcry_cipher_test_algo(cipher) == 0) return cipher;
  return fail(ErrorKind::Unsupported, "libgcrypt does not offer the cipher {}-{}", word_for(family), key_bits);
}

}  // namespace

class SectorCipher::Context {
 public:
  explicit Context(const CipherSpec& spec) : spec_(spec) {}

  Result<void> prepare(std::span<const std::byte> key) {
    TRY(const int cipher, cipher_for(spec_.family, spec_.key_bits));
    CHECK(data_.open(cipher, library_mode(spec_.mode), key));
    block_ = gcry_cipher_get_algo_blklen(cipher);
    return spec_.generator == Generator::Essiv ? prepare_essiv(key) : Result<void>();
  }

  Result<void> encipher(std::uint64_t sector, std::span<std::byte> bytes) {
    CHECK(set_iv(sector));
    const auto error = gcry_cipher_encrypt(data_.get(), bytes.data(), bytes.size(), nullptr, 0);
    return error == 0 ? Result<void>() : library_failure(error, "enciphering");
  }
  Result<void> decipher(std::uint64_t sector, std::span<std::byte> bytes) {
    CHECK(set_iv(sector));
    const auto error = gcry_cipher_decrypt(data_.get(), bytes.data(), bytes.size(), nullptr, 0);
    return error == 0 ? Result<void>() : library_failure(error, "deciphering");
  }

 private:
  Result<void> prepare_essiv(std::span<const std::byte> key) {
    Secret salt(digest_bytes(*spec_.generator_hash));
    CHECK(digest(*spec_.generator_hash, key, salt.bytes()));
    TRY(const int cipher, cipher_for(spec_.family, static_cast<unsigned>(salt.size() * 8)));
    return essiv_.open(cipher, GCRY_CIPHER_MODE_ECB, salt.bytes());
  }

  // The sector number in little endian, zeroes behind it.
  Result<void> set_iv(std::uint64_t sector) {
    if (spec_.mode == Mode::Ecb) return {};
    if (spec_.generator == Generator::Plain) sector &= 0xffffffff;
    std::array<unsigned char, kLargestBlock> iv{};
    std::memcpy(iv.data(), &sector, std::min(sizeof(sector), block_));
    gcry_error_t error = 0;
    if (spec_.generator == Generator::Essiv) error = gcry_cipher_encrypt(essiv_.get(), iv.data(), block_, nullptr, 0);
    if (error == 0) {
      error = spec_.mode == Mode::Ctr ? gcry_cipher_setctr(data_.get(), iv.data(), block_)
                                      : gcry_cipher_setiv(data_.get(), iv.data(), block_);
    }
    return error == 0 ? Result<void>() : library_failure(error, "preparing a sector's IV");
  }

  const CipherSpec& spec_;
  Handle data_;
  Handle essiv_;
  std::size_t block_ = 0;
};

SectorCipher::SectorCipher(const CipherSpec& spec, std::span<const std::byte> key)
    : spec_(spec), key_(Secret::copy(key)) {}

SectorCipher::~SectorCipher() = default;

Result<std::unique_ptr<SectorCipher>> SectorCipher::make(const CipherSpec& spec, std::span<const std::byte> key) {
  CHECK(use_library());
  CHECK(check_spec(spec));
  assert(key.size() == spec.key_bytes());
  std::unique_ptr<SectorCipher> cipher(new SectorCipher(spec, key));
  TRY(auto first, cipher->new_context());  // what the library does not have is found now
  cipher->put_back(std::move(first));
  return cipher;
}

Result<std::unique_ptr<SectorCipher::Context>> SectorCipher::new_context() const {
  auto context = std::make_unique<Context>(spec_);
  CHECK(context->prepare(key_.bytes()));
  return context;
}

Result<std::unique_ptr<SectorCipher::Context>> SectorCipher::take() const {
  {
    const MutexLock lock(mutex_);
    if (!idle_.empty()) {
      auto context = std::move(idle_.back());
      idle_.pop_back();
      return context;
    }
  }
  return new_context();
}

void SectorCipher::put_back(std::unique_ptr<Context> context) const {
  const MutexLock lock(mutex_);
  idle_.push_back(std::move(context));
}

Result<void> SectorCipher::run(Step step, std::uint64_t first_sector, std::span<std::byte> sectors) const {
  assert(sectors.size() % kSector == 0);
  TRY(auto context, take());
  Result<void> outcome;
  for (std::size_t at = 0; at < sectors.size() && outcome; at += kSector) {
    outcome = ((*context).*step)(first_sector + at / kSector, sectors.subspan(at, kSector));
  }
  put_back(std::move(context));
  return outcome;
}

Result<void> SectorCipher::encipher(std::uint64_t first_sector, std::span<std::byte> sectors) const {
  return run(&Context::encipher, first_sector, sectors);
}

Result<void> SectorCipher::decipher(std::uint64_t first_sector, std::span<std::byte> sectors) const {
  return run(&Context::decipher, first_sector, sectors);
}

}  // namespace flatimg::crypto
