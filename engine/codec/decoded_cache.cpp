// A key belongs to one shard for ever; a shard has a lock, a list from the latest to the oldest block, and the
// decodings under way. States of a key in its shard:
//
//   | state    | blocks_ | flights_ | leaves by                                                              |
//   |----------|---------|----------|------------------------------------------------------------------------|
//   | absent   |         |          | join_or_begin -> decoding                                              |
//   | decoding |         | yes      | land: success -> kept, error -> absent; forget -> absent, lands unkept |
//   | kept     | yes     |          | evict, forget -> absent                                                |
#include "codec/decoded_cache.h"

#include <algorithm>
#include <optional>

namespace flatimg {

namespace {

// A shard holds a few of the largest blocks (2 MiB), else it would be no cache for them.
constexpr ByteCount kLeastShard = 8_MiB;
constexpr std::uint64_t kMostShards = 16;

std::uint64_t shard_count(ByteCount budget) { return std::clamp<std::uint64_t>(budget / kLeastShard, 1, kMostShards); }

// Keys are host offsets, most of them multiples of something: spread them.
std::uint64_t scattered(std::uint64_t key) { return (key * 0x9e3779b97f4a7c15u) >> 32; }

ByteCount memory_of(const AlignedBytes& block) {
  return align_up(ByteCount(block.size()), ByteCount(AlignedBuffer::kAlignment));
}

}  // namespace

// One decoding and those who wait for it. Guarded by the lock of the shard.
struct DecodedCache::Flight {
  std::optional<Result<SharedBytes>> answer;
};

class DecodedCache::Shard {
  struct Block {
    std::uint64_t key;
    SharedBytes bytes;
  };
  using ByAge = std::list<Block>;  // the latest first

 public:
  explicit Shard(ByteCount budget) : budget_(budget) {}

  SharedBytes find(std::uint64_t key) {
    const MutexLock lock(mutex_);
    return find_locked(key);
  }

  struct Ticket {
    std::shared_ptr<Flight> flight;             // set: the caller has to decode, and to land
    std::optional<Result<SharedBytes>> answer;  // set: there is nothing to do
  };
  Ticket join_or_begin(std::uint64_t key) {
    const MutexLock lock(mutex_);
    if (SharedBytes kept = find_locked(key)) return {nullptr, kept};  // kept since the first look
    if (const auto found = flights_.find(key); found != flights_.end()) return {nullptr, wait_for(found->second)};
    ++misses_;
    return {flights_[key] = std::make_shared<Flight>(), std::nullopt};
  }

  void land(std::uint64_t key, const std::shared_ptr<Flight>& flight, const Result<SharedBytes>& answer) {
    ByAge dropped;  // freed behind the lock, as below
    const MutexLock lock(mutex_);
    flight->answer = answer;
    landed_.notify_all();
    const auto found = flights_.find(key);
    if (found != flights_.end() && found->second == flight) {
      flights_.erase(found);
      if (answer) keep(key, *answer, dropped);
    }
  }

  void forget(std::uint64_t key) {
    ByAge dropped;
    const MutexLock lock(mutex_);
    flights_.erase(key);
    if (const auto found = blocks_.find(key); found != blocks_.end()) drop(found->second, dropped);
  }

  void forget_all() {
    ByAge dropped;
    const MutexLock lock(mutex_);
    flights_.clear();
    blocks_.clear();
    dropped.swap(by_age_);
    kept_ = ByteCount();
  }

  void add_to(Counts& counts) const {
    const MutexLock lock(mutex_);
    counts.hits += hits_;
    counts.misses += misses_;
    counts.joined += joined_;
    counts.kept += kept_;
  }

 private:
  SharedBytes find_locked(std::uint64_t key) REQUIRES(mutex_) {
    const auto found = blocks_.find(key);
    if (found == blocks_.end()) return nullptr;
    ++hits_;
    by_age_.splice(by_age_.begin(), by_age_, found->second);
    return found->second->bytes;
  }

  Result<SharedBytes> wait_for(std::shared_ptr<Flight> flight) REQUIRES(mutex_) {
    ++joined_;
    while (!flight->answer) landed_.wait(mutex_);
    return *flight->answer;
  }

  void keep(std::uint64_t key, const SharedBytes& bytes, ByAge& dropped) REQUIRES(mutex_) {
    const ByteCount memory = memory_of(*bytes);
    if (memory > budget_) return;
    while (kept_ + memory > budget_) drop(std::prev(by_age_.end()), dropped);
    by_age_.push_front({key, bytes});
    blocks_[key] = by_age_.begin();
    kept_ += memory;
  }

  void drop(ByAge::iterator block, ByAge& dropped) REQUIRES(mutex_) {
    kept_ -= memory_of(*block->bytes);
    blocks_.erase(block->key);
    dropped.splice(dropped.end(), by_age_, block);
  }

  const ByteCount budget_;
  mutable Mutex mutex_{Rank::Queue};
  Condition landed_;
  ByAge by_age_ GUARDED_BY(mutex_);
  std::unordered_map<std::uint64_t, ByAge::iterator> blocks_ GUARDED_BY(mutex_);
  std::unordered_map<std::uint64_t, std::shared_ptr<Flight>> flights_ GUARDED_BY(mutex_);
  ByteCount kept_ GUARDED_BY(mutex_);
  std::uint64_t hits_ GUARDED_BY(mutex_) = 0;
  std::uint64_t misses_ GUARDED_BY(mutex_) = 0;
  std::uint64_t joined_ GUARDED_BY(mutex_) = 0;
};

DecodedCache::DecodedCache(ByteCount budget) {
  const std::uint64_t count = shard_count(budget);
  for (std::uint64_t i = 0; i < count; ++i)
    shards_.push_back(std::make_unique<Shard>(ByteCount(budget.value() / count)));
}

DecodedCache::~DecodedCache() = default;

DecodedCache::Shard& DecodedCache::shard_of(std::uint64_t key) { return *shards_[scattered(key) % shards_.size()]; }

SharedBytes DecodedCache::find(std::uint64_t key) { return shard_of(key).find(key); }

Result<SharedBytes> DecodedCache::decode_once(std::uint64_t key, const Decoder& decode) {
  Shard& shard = shard_of(key);
  auto ticket = shard.join_or_begin(key);
  if (ticket.answer) return *std::move(ticket.answer);
  Result<SharedBytes> answer = fail(ErrorKind::NoMemory, "no memory for a decoded block");
  try {
    answer = decode();
  } catch (const std::bad_alloc&) {
    // The answer stands; those who wait must get one.
  }
  shard.land(key, ticket.flight, answer);
  return answer;
}

void DecodedCache::forget(std::uint64_t key) { shard_of(key).forget(key); }

void DecodedCache::forget_all() {
  for (const auto& shard : shards_) shard->forget_all();
}

DecodedCache::Counts DecodedCache::counts() const {
  Counts counts;
  for (const auto& shard : shards_) shard->add_to(counts);
  return counts;
}

}  // namespace flatimg
