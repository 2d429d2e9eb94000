// A HostFile that passes every call on: the base of those that change one thing. The inner file may be shared with a
// test that looks at it when the image is gone.
#pragma once

#include <memory>

#include "host/host_file.h"

namespace flatimg::test {

class ForwardingFile : public HostFile {
 public:
  explicit ForwardingFile(std::shared_ptr<HostFile> inner) : inner_(std::move(inner)) {}

  using HostFile::write;
  Result<void> read(HostOffset at, std::span<std::byte> out) override { return inner_->read(at, out); }
  Result<void> write(HostOffset at, std::span<const std::span<const std::byte>> parts) override {
    return inner_->write(at, parts);
  }
  Result<void> zero(HostRange range, Space space) override { return inner_->zero(range, space); }
  Result<void> reserve(HostRange range) override { return inner_->reserve(range); }
  Result<void> barrier() override { return inner_->barrier(); }
  Result<ByteCount> size() override { return inner_->size(); }
  Result<void> resize(ByteCount size) override { return inner_->resize(size); }
  Result<HostRange> next_data(HostOffset from) override { return inner_->next_data(from); }
  Result<ByteCount> allocated() override { return inner_->allocated(); }
  void will_need(HostRange range) override { inner_->will_need(range); }
  [[nodiscard]] FileIdentity identity() const override { return inner_->identity(); }
  [[nodiscard]] bool writable() const override { return inner_->writable(); }
  [[nodiscard]] bool is_block_device() const override { return inner_->is_block_device(); }
  [[nodiscard]] int descriptor() const override { return inner_->descriptor(); }
  [[nodiscard]] const std::string& name() const override { return inner_->name(); }

  [[nodiscard]] HostFile& inner() { return *inner_; }

 private:
  std::shared_ptr<HostFile> inner_;
};

}  // namespace flatimg::test
