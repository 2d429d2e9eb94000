// A built image that is open for writing as a disk, on a file in memory that the test sees.
#pragma once

#include <gtest/gtest.h>

#include "qcow2/qcow2_image.h"
#include "support/faulty_file.h"
#include "support/memory_file.h"
#include "support/qcow2_builder.h"
#include "view/disk.h"

namespace flatimg::qcow2 {

class WrittenImage {
 public:
  /// Without an interval it is flushed on demand only.
  explicit WrittenImage(const test::Qcow2Builder& built, Access access = Access::ReadWrite,
                        std::chrono::milliseconds flush_interval = {})
      : cluster_(built.cluster_size()) {
    auto memory = test::MemoryFile::containing(built.bytes());
    memory_ = memory.get();
    auto faulty = std::make_unique<test::FaultyFile>(std::move(memory));
    faulty_ = faulty.get();
    OpenOptions options;
    options.writable = access == Access::ReadWrite;
    options.flush_interval = flush_interval;
    auto opened = Qcow2Image::open(std::move(faulty), built.header().value(), nullptr, nullptr, options);
    if (!opened) throw std::runtime_error(opened.error().text);
    image_ = opened->get();
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(std::move(*opened));
    disk_ = std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }

  [[nodiscard]] Disk& disk() { return *disk_; }
  [[nodiscard]] Qcow2Image& image() { return *image_; }
  [[nodiscard]] test::FaultyFile& file() { return *faulty_; }
  [[nodiscard]] std::vector<std::byte> bytes() const { return memory_->contents(); }
  [[nodiscard]] std::uint64_t word(std::uint64_t at) const {
    const auto now = bytes();
    return load_be<std::uint64_t>(std::span(now), at);
  }
  [[nodiscard]] bool marked() const { return (word(72) & incompatible::kCorrupt) != 0; }
  [[nodiscard]] std::unique_ptr<test::MemoryFile> copy() const { return memory_->copy(); }

  [[nodiscard]] GuestRange guest(std::uint64_t cluster, std::uint64_t clusters = 1) const {
    return {GuestOffset(cluster * cluster_), ByteCount(clusters * cluster_)};
  }
  Result<void> write(std::uint64_t guest_cluster, unsigned char value = 1) {
    return disk_->write(guest(guest_cluster).begin, std::vector(cluster_, std::byte{value}));
  }
  Result<std::vector<std::byte>> read(std::uint64_t guest_cluster) {
    std::vector<std::byte> out(cluster_);
    CHECK(disk_->read(guest(guest_cluster).begin, out));
    return out;
  }

 private:
  std::uint64_t cluster_;
  test::MemoryFile* memory_ = nullptr;
  test::FaultyFile* faulty_ = nullptr;
  Qcow2Image* image_ = nullptr;
  std::unique_ptr<Disk> disk_;
};

}  // namespace flatimg::qcow2
