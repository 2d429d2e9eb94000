#include "codec/block_pool.h"

#include <vector>

#include "base/ranked_mutex.h"

namespace flatimg {

class BlockPool::Memory {
 public:
  explicit Memory(ByteCount most) : most_(most.value()) {}

  AlignedBuffer take(std::size_t bytes) {
    std::vector<AlignedBuffer> dropped;  // freed behind the lock
    {
      const MutexLock lock(mutex_);
      for (std::size_t i = idle_.size(); i-- > 0;) {
        if (idle_[i].size() < bytes || idle_[i].size() / 2 > bytes) continue;
        AlignedBuffer found = std::move(idle_[i]);
        idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
        return found;
      }
      make_room(bytes, dropped);
    }
    dropped.clear();
    AlignedBuffer fresh(bytes);
    const MutexLock lock(mutex_);
    idle_.reserve(buffers_ + 1);
    ++buffers_;
    all_ += fresh.size();
    return fresh;
  }

  void put_back(AlignedBuffer& buffer) noexcept {
    const MutexLock lock(mutex_);
    if (all_ <= most_) {
      idle_.push_back(std::move(buffer));
    } else {
      forget(buffer);
    }
  }

  ByteCount idle() const {
    const MutexLock lock(mutex_);
    std::size_t bytes = 0;
    for (const AlignedBuffer& buffer : idle_) bytes += buffer.size();
    return ByteCount(bytes);
  }

 private:
  void make_room(std::size_t bytes, std::vector<AlignedBuffer>& dropped) REQUIRES(mutex_) {
    while (!idle_.empty() && all_ + bytes > most_) {
      forget(idle_.front());
      dropped.push_back(std::move(idle_.front()));
      idle_.erase(idle_.begin());
    }
  }
  void forget(const AlignedBuffer& buffer) REQUIRES(mutex_) {
    --buffers_;
    all_ -= buffer.size();
  }

  const std::size_t most_;
  mutable Mutex mutex_{Rank::Queue};
  std::vector<AlignedBuffer> idle_ GUARDED_BY(mutex_);  // the oldest first; there is room for all buffers
  std::size_t buffers_ GUARDED_BY(mutex_) = 0;          // idle or in use
  std::size_t all_ GUARDED_BY(mutex_) = 0;              // bytes of them
};

BlockPool::BlockPool(ByteCount most) : memory_(std::make_shared<Memory>(most)) {}

std::shared_ptr<AlignedBytes> BlockPool::block(std::size_t bytes) {
  auto block = std::make_unique<AlignedBytes>();  // first: what is taken must find its way back
  *block = AlignedBytes(memory_->take(bytes), bytes);
  const auto give_back = [memory = memory_](AlignedBytes* last) {
    AlignedBuffer buffer = std::move(*last).memory();
    delete last;
    memory->put_back(buffer);
  };
  return {block.release(), give_back};
}

ByteCount BlockPool::idle() const { return memory_->idle(); }

}  // namespace flatimg
