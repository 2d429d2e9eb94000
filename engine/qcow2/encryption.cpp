#include "qcow2/encryption.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "crypto/luks_keys.h"
#include "host/host_file.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::uint32_t kAes = 1;
constexpr std::size_t kAesKeyBytes = 16;
constexpr crypto::CipherSpec kAesSpec{crypto::Family::Aes, 128, crypto::Mode::Cbc, crypto::Generator::Plain64, {}};

}  // namespace

std::unique_ptr<const Encryption> Encryption::locked() {
  return std::unique_ptr<const Encryption>(new Encryption(nullptr, NumberedBy::Guest));
}

Failure Encryption::without_key() {
  return fail(ErrorKind::Denied, "the image is encrypted and was opened without its passphrase");
}

Result<std::unique_ptr<const Encryption>> Encryption::open_aes(std::span<const std::byte> passphrase) {
  Secret key(kAesKeyBytes);
  std::ranges::copy(passphrase.first(std::min(passphrase.size(), kAesKeyBytes)), key.bytes().begin());
  TRY(auto cipher, crypto::SectorCipher::make(kAesSpec, key.bytes()));
  return std::unique_ptr<const Encryption>(new Encryption(std::move(cipher), NumberedBy::Guest));
}

Result<std::unique_ptr<const Encryption>> Encryption::open_luks(HostFile& file, HostRange area,
                                                                std::span<const std::byte> passphrase) {
  std::array<std::byte, crypto::kLuksHeaderBytes> bytes{};
  CHECK(file.read(area.begin, bytes));
  TRY(const crypto::LuksHeader header, crypto::parse_luks_header(bytes));
  TRY(const crypto::LuksAlgorithms algorithms, crypto::usable(header, area.length));
  TRY(const Secret key, crypto::unlock(header, algorithms, passphrase, [&](ByteCount at, std::span<std::byte> out) {
        return file.read(area.begin + at, out);
      }));
  TRY(auto cipher, crypto::SectorCipher::make(algorithms.cipher, key.bytes()));
  return std::unique_ptr<const Encryption>(new Encryption(std::move(cipher), NumberedBy::Host));
}

Result<std::unique_ptr<const Encryption>> Encryption::open(HostFile& file, const Header& header,
                                                           const Secret* passphrase) {
  if (passphrase == nullptr) {
    return fail(ErrorKind::Denied, "{}: the image is encrypted: give its passphrase with key-file=FILE (--key-file)",
                shown(file.name()));
  }
  auto opened = header.crypt_method == kAes ? open_aes(passphrase->bytes())
                                            : open_luks(file, *header.crypto_header, passphrase->bytes());
  if (!opened) return Failure(std::move(opened.error()).within(shown(file.name())));
  return opened;
}

}  // namespace flatimg::qcow2
