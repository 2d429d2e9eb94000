// Enciphered guest data (sheet section 5): AES-128-CBC over sectors of 512 bytes, numbered by their place on the disk.
// The key is the beginning of the passphrase. Nothing in the image tells whether it is the right one.
//
// Only data clusters are enciphered: no table, no compressed cluster, nothing of a backing file.
#pragma once

#include <memory>

#include "base/secret.h"
#include "base/units.h"
#include "crypto/sector_cipher.h"
#include "image/sector_transform.h"

namespace flatimg::qcow1 {

class Encryption final : public SectorTransform {
 public:
  /// With the passphrase of the image.
  static Result<std::unique_ptr<const Encryption>> open(const Secret& passphrase);
  /// For an image whose data nobody is going to move: every use is an error.
  static std::unique_ptr<const Encryption> locked();

  /// How bytes of that place are enciphered.
  [[nodiscard]] Enciphered at(GuestOffset guest) const { return {this, guest.value() / kSector}; }

  Result<void> encipher(std::uint64_t first_sector, std::span<std::byte> sectors) const override;
  Result<void> decipher(std::uint64_t first_sector, std::span<std::byte> sectors) const override;

 private:
  explicit Encryption(std::unique_ptr<crypto::SectorCipher> cipher) : cipher_(std::move(cipher)) {}

  std::unique_ptr<crypto::SectorCipher> cipher_;  // nullptr: locked
};

}  // namespace flatimg::qcow1
