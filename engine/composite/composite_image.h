// An open composite disk: its parts, one behind the other.
//
// Invariants:
//   1. The parts never change, cover the whole disk, and each of them lies within its image.
//   2. The file itself is never written; it stays open so that its lock lasts.
//   3. Writing is the view's work, part by part.
#pragma once

#include "composite/header.h"
#include "image/divided_image.h"

namespace flatimg::composite {

/// A part whose image is open.
struct OpenPart {
  Part part;
  std::string name;                           // by which people know it
  std::vector<std::unique_ptr<Image>> chain;  // top first

  [[nodiscard]] const Image& image() const { return *chain.front(); }
  /// How many of its last bytes the image does not have.
  [[nodiscard]] ByteCount missing() const;
};

class CompositeImage final : public DividedImage {
 public:
  /// InvalidImage when a part ends before its place on the disk does, unless its image is read-only: zeroes are shown
  /// there. `file` is kept open.
  static Result<std::unique_ptr<CompositeImage>> open(std::unique_ptr<HostFile> file, ByteCount size,
                                                      std::vector<OpenPart> parts);

  [[nodiscard]] const Traits& traits() const override { return traits_; }
  [[nodiscard]] ByteCount size() const override { return size_; }
  [[nodiscard]] std::span<const DiskPart> parts() const override { return pieces_; }
  /// Below, or zeroes where a part has nothing.
  Result<Extent> map(GuestRange want, Look look) override;
  Result<void> flush() override;
  Result<void> close() override;
  /// Of all parts together.
  [[nodiscard]] Counters counters() const override;
  /// Of the first part that has one; the others can be written all the same.
  [[nodiscard]] std::optional<std::string> corruption() const override;

 private:
  CompositeImage(std::unique_ptr<HostFile> file, ByteCount size, std::vector<OpenPart> parts);
  void add_pieces(const OpenPart& part);
  void describe_traits();

  std::unique_ptr<HostFile> file_;
  ByteCount size_;
  std::vector<OpenPart> parts_;
  std::vector<DiskPart> pieces_;
  Traits traits_;
};

}  // namespace flatimg::composite
