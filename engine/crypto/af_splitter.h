// The anti-forensic splitter of LUKS1: a key blown up to many stripes, of which every single one is needed to get it
// back, so that a key slot can be destroyed even on a medium that remaps sectors (specification: "TKS1", section 2.4).
#pragma once

#include <span>

#include "base/secret.h"
#include "crypto/algorithms.h"

namespace flatimg::crypto {

/// `stripes` times the bytes of the key; all but the last stripe are random.
Result<Secret> af_split(Hash hash, std::span<const std::byte> key, std::uint32_t stripes);

/// The key of `key_bytes` bytes that `split`, a whole number of stripes, was made of. Any bytes give some key.
Result<Secret> af_merge(Hash hash, std::span<const std::byte> split, std::size_t key_bytes);

}  // namespace flatimg::crypto
