// A HostFile that lets other threads pass now and then before it does what it is asked for, so that what two threads do
// at the same time happens in many orders.
#pragma once

#include <chrono>
#include <random>
#include <thread>

#include "support/forwarding_file.h"

namespace flatimg::test {

class DawdlingFile final : public ForwardingFile {
 public:
  using ForwardingFile::ForwardingFile;

  using HostFile::write;
  Result<void> read(HostOffset at, std::span<std::byte> out) override {
    dawdle();
    return ForwardingFile::read(at, out);
  }
  Result<void> write(HostOffset at, std::span<const std::span<const std::byte>> parts) override {
    dawdle();
    return ForwardingFile::write(at, parts);
  }
  Result<void> zero(HostRange range, Space space) override {
    dawdle();
    return ForwardingFile::zero(range, space);
  }
  Result<void> barrier() override {
    dawdle();
    return ForwardingFile::barrier();
  }
  Result<void> resize(ByteCount size) override {
    dawdle();
    return ForwardingFile::resize(size);
  }

 private:
  static void dawdle() {
    thread_local std::minstd_rand random(std::random_device{}());
    const auto lot = random() % 64;
    if (lot < 16) std::this_thread::yield();
    if (lot == 63) std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
  }
};

}  // namespace flatimg::test
