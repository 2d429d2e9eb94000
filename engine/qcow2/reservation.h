// What place() and place_encoded() remember for link(): consecutive entries of one page, which are to get consecutive
// host clusters, or one entry that is to name a compressed stream.
//
// Invariant: until it is linked, what was taken for it belongs to nobody else, and goes back when it ends.
#pragma once

#include <new>
#include <variant>

#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

class Qcow2Image::Reservation final : public Placement::Reservation {
 public:
  /// Clusters that nobody had; without any where the data file has the place.
  struct Fresh {
    FreeSpace::Grant grant;
  };
  /// The entries name their clusters already.
  struct AlreadyInEntry {};
  struct Stream {
    HostRange stored;
  };
  using Space = std::variant<Fresh, AlreadyInEntry, Stream>;

  Reservation(Qcow2Image& image, EntryPlace place, Space space, HostOffset first)
      : entries(std::move(place)), first_cluster(first), image_(image), space_(space) {}
  ~Reservation() override {
    if (linked) return;
    try {
      give_back();
    } catch (const std::bad_alloc&) {
      // It stays counted: a leak, nothing else.
    }
  }

  /// The entries stop naming what they name now.
  [[nodiscard]] bool replaces() const { return !std::holds_alternative<AlreadyInEntry>(space_); }
  [[nodiscard]] std::optional<HostRange> stream() const {
    const auto* stored = std::get_if<Stream>(&space_);
    return stored == nullptr ? std::nullopt : std::optional(stored->stored);
  }

  EntryPlace entries;
  HostOffset first_cluster;
  std::size_t clusters = 1;
  bool linked = false;

 private:
  void give_back() {
    if (const auto* fresh = std::get_if<Fresh>(&space_); fresh != nullptr && fresh->grant.run.count > 0) {
      image_.free_space_.give_back(fresh->grant);
    }
    if (const auto place = stream()) image_.stream_space_.give_back(*place);
  }

  Qcow2Image& image_;
  Space space_;
};

}  // namespace flatimg::qcow2
