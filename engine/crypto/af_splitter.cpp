#include "crypto/af_splitter.h"

#include <algorithm>
#include <cstring>

#include "base/endian.h"
#include "crypto/derive.h"

namespace flatimg::crypto {

namespace {

void xor_into(std::span<std::byte> target, std::span<const std::byte> other) {
  for (std::size_t i = 0; i < target.size(); ++i) target[i] ^= other[i];
}

// Each piece as long as a digest becomes the digest of its number and itself; a shorter last one its beginning.
Result<void> diffuse(Hash hash, std::span<std::byte> block) {
  const std::size_t piece_bytes = digest_bytes(hash);
  Secret numbered(sizeof(std::uint32_t) + piece_bytes);
  for (std::size_t at = 0; at < block.size(); at += piece_bytes) {
    const auto piece = block.subspan(at, std::min(piece_bytes, block.size() - at));
    store_be(numbered.bytes(), 0, static_cast<std::uint32_t>(at / piece_bytes));
    std::memcpy(numbered.bytes().data() + sizeof(std::uint32_t), piece.data(), piece.size());
    CHECK(digest(hash, numbered.bytes().first(sizeof(std::uint32_t) + piece.size()), piece));
  }
  return {};
}

// What all stripes but the last amount to.
Result<Secret> accumulated(Hash hash, std::span<const std::byte> stripes, std::size_t key_bytes) {
  Secret block(key_bytes);
  for (std::size_t at = 0; at < stripes.size(); at += key_bytes) {
    xor_into(block.bytes(), stripes.subspan(at, key_bytes));
    CHECK(diffuse(hash, block.bytes()));
  }
  return block;
}

}  // namespace

Result<Secret> af_split(Hash hash, std::span<const std::byte> key, std::uint32_t stripes) {
  Secret split(key.size() * stripes);
  const auto random = split.bytes().first(split.size() - key.size());
  CHECK(fill_random(random));
  TRY(const Secret block, accumulated(hash, random, key.size()));
  const auto last = split.bytes().subspan(random.size());
  std::memcpy(last.data(), key.data(), key.size());
  xor_into(last, block.bytes());
  return split;
}

Result<Secret> af_merge(Hash hash, std::span<const std::byte> split, std::size_t key_bytes) {
  const auto last = split.subspan(split.size() - key_bytes);
  TRY(Secret key, accumulated(hash, split.first(split.size() - key_bytes), key_bytes));
  xor_into(key.bytes(), last);
  return key;
}

}  // namespace flatimg::crypto
