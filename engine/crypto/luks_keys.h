// Getting at the master key of a LUKS header, and making a new header with one.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "base/secret.h"
#include "crypto/luks_header.h"

namespace flatimg::crypto {

/// Reads bytes of the header's area, counted from its beginning.
using ReadArea = std::function<Result<void>(ByteCount at, std::span<std::byte> out)>;

/// The master key, from whichever key slot the passphrase opens. Denied when it opens none. Limit when slots that were
/// not tried would take too long (limits::kLuksRounds for all of them together). `algorithms` is usable()'s answer.
Result<Secret> unlock(const LuksHeader& header, const LuksAlgorithms& algorithms, std::span<const std::byte> passphrase,
                      const ReadArea& read);

struct NewLuks {
  LuksHeader header;
  std::vector<std::byte> material;  // of slot 0, enciphered; to be stored at header.slots[0].material
};

/// How many bytes the area of a new header has: header and eight key slots.
[[nodiscard]] ByteCount new_luks_area(const CipherSpec& cipher);

/// Unsupported for what cannot be made so that every program can read it.
Result<void> check_creatable(const LuksAlgorithms& algorithms);

/// A new header with a random master key, and the passphrase in slot 0. Deriving the key from the passphrase will take
/// about `iteration_time` on this machine.
Result<NewLuks> make_luks(const LuksAlgorithms& algorithms, std::span<const std::byte> passphrase,
                          std::chrono::milliseconds iteration_time);

}  // namespace flatimg::crypto
