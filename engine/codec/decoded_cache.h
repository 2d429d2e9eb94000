// Decoded blocks in memory, so that small reads of one compressed cluster decode it once.
//
// Invariants:
//   1. What is kept takes at most the budget; beyond it there are only blocks that somebody is decoding or reading.
//   2. Of threads that ask for the same block at the same time one decodes, the others wait for its answer.
//   3. Errors are passed to those that wait, and forgotten.
//   4. A forgotten key never yields what was decoded from the old bytes, not even by a decoding that was under way.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/ranked_mutex.h"
#include "base/result.h"
#include "base/units.h"

namespace flatimg {

using SharedBytes = std::shared_ptr<const AlignedBytes>;

class DecodedCache {
 public:
  explicit DecodedCache(ByteCount budget);
  ~DecodedCache();
  DecodedCache(const DecodedCache&) = delete;
  DecodedCache& operator=(const DecodedCache&) = delete;

  /// The block of that key: kept, or decoded by `decode`, which returns Result<SharedBytes> and is called without any
  /// lock of the cache. Blocks while another thread decodes the same key; a decoding must not ask for another key.
  template <class Decode>
  Result<SharedBytes> get_or_decode(std::uint64_t key, Decode&& decode) {
    if (SharedBytes kept = find(key)) return kept;
    return decode_once(key, std::ref(decode));
  }

  /// To be called before the bytes behind the key change or get another meaning.
  void forget(std::uint64_t key);
  void forget_all();

  struct Counts {
    std::uint64_t hits = 0;    // answered from memory
    std::uint64_t misses = 0;  // decoded
    std::uint64_t joined = 0;  // waited for the decoding of another thread
    ByteCount kept;
  };
  [[nodiscard]] Counts counts() const;

 private:
  using Decoder = std::function<Result<SharedBytes>()>;
  struct Flight;
  class Shard;

  [[nodiscard]] SharedBytes find(std::uint64_t key);
  Result<SharedBytes> decode_once(std::uint64_t key, const Decoder& decode);
  [[nodiscard]] Shard& shard_of(std::uint64_t key);

  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace flatimg
