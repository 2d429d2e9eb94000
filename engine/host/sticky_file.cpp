#include "host/sticky_file.h"

#include <atomic>

#include "base/ranked_mutex.h"
#include "host/posix_file.h"

namespace flatimg {

// One barrier at a time: the kernel reports a lost page to one of the callers that wait for the same file, and says
// "success" to the others. Whoever comes after the failure finds failed_ set.
class BarrierMemory {
 public:
  // error_ is written once, before failed_ becomes true, and never changes afterwards.
  [[nodiscard]] Result<void> must_be_sound() const NO_THREAD_SAFETY_ANALYSIS {
    if (failed_.load(std::memory_order_acquire)) return Failure(error_);
    return {};
  }
  Result<void> barrier(HostFile& file);

 private:
  Mutex mutex_{Rank::Queue};
  std::atomic<bool> failed_ = false;
  Error error_ GUARDED_BY(mutex_);
};

Result<void> BarrierMemory::barrier(HostFile& file) {
  const MutexLock lock(mutex_);
  CHECK(must_be_sound());
  auto result = file.barrier();
  if (result) return result;
  error_ = result.error();
  error_.text += ": nothing more is written until the image has been opened again";
  failed_.store(true, std::memory_order_release);
  return Failure(error_);
}

std::shared_ptr<BarrierMemory> new_barrier_memory() { return std::make_shared<BarrierMemory>(); }

namespace {

class StickyFile final : public HostFile {
 public:
  StickyFile(std::unique_ptr<HostFile> inner, std::shared_ptr<BarrierMemory> memory)
      : inner_(std::move(inner)), memory_(std::move(memory)) {}

  using HostFile::write;
  Result<void> read(HostOffset at, std::span<std::byte> out) override { return inner_->read(at, out); }
  Result<void> write(HostOffset at, std::span<const std::span<const std::byte>> parts) override {
    CHECK(memory_->must_be_sound());
    return inner_->write(at, parts);
  }
  Result<void> zero(HostRange range, Space space) override {
    CHECK(memory_->must_be_sound());
    return inner_->zero(range, space);
  }
  Result<void> reserve(HostRange range) override {
    CHECK(memory_->must_be_sound());
    return inner_->reserve(range);
  }
  Result<void> barrier() override { return memory_->barrier(*inner_); }
  [[nodiscard]] Result<void> sound() const override { return memory_->must_be_sound(); }
  Result<ByteCount> size() override { return inner_->size(); }
  Result<void> resize(ByteCount size) override {
    CHECK(memory_->must_be_sound());
    return inner_->resize(size);
  }
  Result<HostRange> next_data(HostOffset from) override { return inner_->next_data(from); }
  Result<ByteCount> allocated() override { return inner_->allocated(); }
  void will_need(HostRange range) override { inner_->will_need(range); }

  [[nodiscard]] FileIdentity identity() const override { return inner_->identity(); }
  [[nodiscard]] bool writable() const override { return inner_->writable(); }
  [[nodiscard]] bool is_block_device() const override { return inner_->is_block_device(); }
  [[nodiscard]] int descriptor() const override { return inner_->descriptor(); }
  [[nodiscard]] const std::string& name() const override { return inner_->name(); }

 private:
  const std::unique_ptr<HostFile> inner_;
  const std::shared_ptr<BarrierMemory> memory_;
};

}  // namespace

std::unique_ptr<HostFile> with_sticky_failure(std::unique_ptr<HostFile> inner, std::shared_ptr<BarrierMemory> memory) {
  return std::make_unique<StickyFile>(std::move(inner), std::move(memory));
}

}  // namespace flatimg
