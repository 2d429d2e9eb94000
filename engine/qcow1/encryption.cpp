#include "qcow1/encryption.h"

#include <algorithm>

namespace flatimg::qcow1 {

namespace {

constexpr std::size_t kKeyBytes = 16;
constexpr crypto::CipherSpec kSpec{crypto::Family::Aes, 128, crypto::Mode::Cbc, crypto::Generator::Plain64, {}};

Failure without_key() {
  return fail(ErrorKind::Denied, "the image is encrypted and was opened without its passphrase");
}

}  // namespace

Result<std::unique_ptr<const Encryption>> Encryption::open(const Secret& passphrase) {
  Secret key(kKeyBytes);
  std::ranges::copy(passphrase.bytes().first(std::min(passphrase.size(), kKeyBytes)), key.bytes().begin());
  TRY(auto cipher, crypto::SectorCipher::make(kSpec, key.bytes()));
  return std::unique_ptr<const Encryption>(new Encryption(std::move(cipher)));
}

std::unique_ptr<const Encryption> Encryption::locked() {
  return std::unique_ptr<const Encryption>(new Encryption(nullptr));
}

Result<void> Encryption::encipher(std::uint64_t first_sector, std::span<std::byte> sectors) const {
  return cipher_ ? cipher_->encipher(first_sector, sectors) : without_key();
}

Result<void> Encryption::decipher(std::uint64_t first_sector, std::span<std::byte> sectors) const {
  return cipher_ ? cipher_->decipher(first_sector, sectors) : without_key();
}

}  // namespace flatimg::qcow1
