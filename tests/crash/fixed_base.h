// A disk behind an overlay that never changes.
#pragma once

#include <vector>

#include "image/image.h"
#include "support/memory_file.h"

namespace flatimg::test {

class FixedBase final : public Image {
 public:
  explicit FixedBase(std::vector<std::byte> content) : file_(MemoryFile::containing(content)), size_(content.size()) {
    traits_.format = "raw";
    traits_.fixed_map = true;
  }
  const Traits& traits() const override { return traits_; }
  ByteCount size() const override { return size_; }
  Result<Extent> map(GuestRange want, Look) override {
    return Extent{want, InFile{file_.get(), HostOffset(want.begin.value()), false}};
  }
  Result<void> flush() override { return {}; }
  Result<void> close() override { return {}; }

 private:
  std::unique_ptr<MemoryFile> file_;
  ByteCount size_;
  Traits traits_;
};

}  // namespace flatimg::test
