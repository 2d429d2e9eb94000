#include "fault/memory/scarce_memory.h"

#include <cstdlib>
#include <new>

namespace flatimg::test {

namespace {

struct Scarcity {
  bool armed = false;
  bool for_ever = false;
  unsigned paused = 0;
  std::uint64_t left = 0;  // allocations that succeed
  std::uint64_t failures = 0;

  bool fails() {
    if (!armed || paused > 0) return false;
    if (left > 0) return --left, false;
    ++failures;
    armed = for_ever;
    return true;
  }
};
thread_local constinit Scarcity scarcity;

}  // namespace

ScarceMemory::ScarceMemory(std::uint64_t nth, Times times) {
  scarcity.left = nth - 1;
  scarcity.for_ever = times == Times::ForEver;
  scarcity.failures = 0;
  scarcity.armed = true;
}
ScarceMemory::~ScarceMemory() { scarcity.armed = false; }
std::uint64_t ScarceMemory::failures() { return scarcity.failures; }

PlentyOfMemory::PlentyOfMemory() { ++scarcity.paused; }
PlentyOfMemory::~PlentyOfMemory() { --scarcity.paused; }

namespace {

void* allocated(std::size_t bytes) { return scarcity.fails() ? nullptr : std::malloc(bytes > 0 ? bytes : 1); }

void* or_thrown(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

}  // namespace flatimg::test

// Of every room that is linked (the linker's --wrap).
extern "C" void* __real_aligned_alloc(std::size_t alignment, std::size_t bytes);
extern "C" void* __wrap_aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return flatimg::test::scarcity.fails() ? nullptr : __real_aligned_alloc(alignment, bytes);
}

void* operator new(std::size_t bytes) { return flatimg::test::or_thrown(flatimg::test::allocated(bytes)); }
void* operator new[](std::size_t bytes) { return flatimg::test::or_thrown(flatimg::test::allocated(bytes)); }
void* operator new(std::size_t bytes, const std::nothrow_t& /*unused*/) noexcept {
  return flatimg::test::allocated(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t& /*unused*/) noexcept {
  return flatimg::test::allocated(bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }
