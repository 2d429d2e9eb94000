// libgcrypt, as the files of this room see it (private to the room).
//
// It is initialised once for the process. Contexts of ciphers and hashes that hold key material live in its own locked
// memory, which it wipes; where the system allows no locked memory it does without, silently.
#pragma once

#include <gcrypt.h>

#include "base/result.h"
#include "crypto/algorithms.h"

namespace flatimg::crypto {

/// Any thread, any number of times. NoMemory when the library is not the one that this was compiled with.
Result<void> use_library();

/// What the library says went wrong. `what` names the action and no key.
[[nodiscard]] Failure library_failure(gcry_error_t error, std::string_view what);

[[nodiscard]] int library_hash(Hash hash);
/// 0 when there is none.
[[nodiscard]] int library_cipher(Family family, unsigned key_bits);
[[nodiscard]] int library_mode(Mode mode);

}  // namespace flatimg::crypto
