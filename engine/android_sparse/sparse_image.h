// An open Android sparse image, in one file or in several pieces.
//
// Invariants:
//   1. The map never changes and nothing is ever written: any thread may map at any time.
//   2. Every stored run lies within its file as it was when it was opened.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "android_sparse/layout.h"
#include "image/image.h"

namespace flatimg::android_sparse {

class SparseImage final : public Image {
 public:
  /// `pieces` are laid over one another in their order; at least one, at most Layout::kMostPieces. All must tell of the
  /// same disk. `read_only_reason` for those who wanted to write.
  static Result<std::unique_ptr<SparseImage>> open(std::vector<std::unique_ptr<HostFile>> pieces,
                                                   std::string read_only_reason);

  [[nodiscard]] const Traits& traits() const override { return traits_; }
  [[nodiscard]] ByteCount size() const override { return block_ * layout_.blocks(); }
  Result<Extent> map(GuestRange want, Look look) override;
  Result<void> flush() override { return {}; }
  Result<void> close() override { return {}; }
  std::optional<ByteCount> known_data_bytes() override { return data_; }
  [[nodiscard]] Counters counters() const override { return {{"runs", layout_.runs()}}; }

 private:
  SparseImage(std::vector<std::unique_ptr<HostFile>> pieces, ByteCount block, Layout layout,
              std::string read_only_reason);

  std::vector<std::unique_ptr<HostFile>> pieces_;
  ByteCount block_;
  Layout layout_;
  ByteCount data_;
  Traits traits_;
};

}  // namespace flatimg::android_sparse
