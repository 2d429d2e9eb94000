// A HostFile in memory: sparse, of any size, for any number of threads. Data is tracked in blocks of 4096 bytes, so
// that next_data() and allocated() answer as a file system would. A barrier does nothing.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "host/host_file.h"
#include "host/posix_file.h"

namespace flatimg::test {

class MemoryFile final : public HostFile {
 public:
  static constexpr std::uint64_t kBlock = 4096;

  explicit MemoryFile(std::string name = "memory", Access access = Access::ReadWrite);

  /// A file with these bytes, all of them data.
  static std::unique_ptr<MemoryFile> containing(std::span<const std::byte> bytes, std::string name = "memory",
                                                Access access = Access::ReadWrite);

  /// The same contents and holes in a file of its own.
  [[nodiscard]] std::unique_ptr<MemoryFile> copy() const;

  /// Everything, holes as zeroes. For files that fit into memory.
  [[nodiscard]] std::vector<std::byte> contents() const;

  using HostFile::write;
  Result<void> read(HostOffset at, std::span<std::byte> out) override;
  Result<void> write(HostOffset at, std::span<const std::span<const std::byte>> parts) override;
  Result<void> zero(HostRange range, Space space) override;
  Result<void> reserve(HostRange range) override;
  Result<void> barrier() override { return {}; }
  Result<ByteCount> size() override;
  Result<void> resize(ByteCount size) override;
  Result<HostRange> next_data(HostOffset from) override;
  Result<ByteCount> allocated() override;
  [[nodiscard]] FileIdentity identity() const override { return identity_; }
  [[nodiscard]] bool writable() const override { return access_ == Access::ReadWrite; }
  [[nodiscard]] const std::string& name() const override { return name_; }

 private:
  using Block = std::array<std::byte, kBlock>;

  [[nodiscard]] Result<void> must_be_writable() const;
  void grow_to(HostOffset end);
  void write_part(HostOffset at, std::span<const std::byte> bytes);
  void clear(HostRange range, Space space);

  std::string name_;
  Access access_;
  FileIdentity identity_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::uint64_t, Block> blocks_;
  ByteCount size_;
};

}  // namespace flatimg::test
