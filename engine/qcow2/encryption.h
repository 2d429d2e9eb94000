// Enciphered guest data (sheet section 11): the cipher of an open image, and the numbers that its sectors have.
//
//   method | key                                              | number of a sector
//   -------+--------------------------------------------------+--------------------------
//   1, AES | the passphrase: 16 bytes of it, zeroes behind    | its place on the disk
//   2, LUKS| the master key of the header in the image        | its place in the host file
//
// Only data clusters are enciphered: no table, no compressed cluster, nothing of a backing file.
//
// Invariant: the number follows from where an extent is said to be, so a sector is deciphered with the number with
// which it was enciphered for as long as its table entry stays. With LUKS, data that moves to another cluster is
// enciphered anew; the view does so because it copies what the guest sees.
#pragma once

#include <memory>

#include "base/secret.h"
#include "crypto/sector_cipher.h"
#include "image/sector_transform.h"
#include "qcow2/header.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow2 {

class Encryption final : public SectorTransform {
 public:
  /// For an image whose header names a method. Denied when the passphrase is missing or, as far as the method can tell,
  /// wrong. Deriving the key takes as long as whoever made the image wanted it to, within limits::kLuksRounds.
  static Result<std::unique_ptr<const Encryption>> open(HostFile& file, const Header& header, const Secret* passphrase);

  /// For an image whose data nobody is going to move: every use is an error.
  static std::unique_ptr<const Encryption> locked();

  /// How bytes of that place are enciphered.
  [[nodiscard]] Enciphered at(HostOffset host, GuestOffset guest) const {
    return {this, (numbered_by_ == NumberedBy::Host ? host.value() : guest.value()) / kSector};
  }

  Result<void> encipher(std::uint64_t first_sector, std::span<std::byte> sectors) const override {
    return cipher_ ? cipher_->encipher(first_sector, sectors) : without_key();
  }
  Result<void> decipher(std::uint64_t first_sector, std::span<std::byte> sectors) const override {
    return cipher_ ? cipher_->decipher(first_sector, sectors) : without_key();
  }

 private:
  enum class NumberedBy { Host, Guest };
  Encryption(std::unique_ptr<crypto::SectorCipher> cipher, NumberedBy numbered_by)
      : cipher_(std::move(cipher)), numbered_by_(numbered_by) {}
  static Failure without_key();
  static Result<std::unique_ptr<const Encryption>> open_aes(std::span<const std::byte> passphrase);
  static Result<std::unique_ptr<const Encryption>> open_luks(HostFile& file, HostRange area,
                                                             std::span<const std::byte> passphrase);

  std::unique_ptr<crypto::SectorCipher> cipher_;  // nullptr: locked
  NumberedBy numbered_by_;
};

}  // namespace flatimg::qcow2
