// What place() and place_encoded() remember for link(): consecutive entries of one page and the clusters for them, or
// one entry and the place of a compressed stream.
//
// Invariant: until it is linked, what was granted belongs to nobody else, and goes back when it ends.
#pragma once

#include <new>

#include "qcow1/qcow1_image.h"

namespace flatimg::qcow1 {

class Qcow1Image::Reservation final : public Placement::Reservation {
 public:
  enum class Takes { Clusters, Stream };

  Reservation(Qcow1Image& image, EntryPlace place, FreeSpace::Grant granted, Takes what = Takes::Clusters)
      : entries(std::move(place)), grant(granted), takes(what), image_(image) {}
  ~Reservation() override {
    if (linked) return;
    try {
      image_.free_space_.give_back(grant.range);
    } catch (const std::bad_alloc&) {
      // The space is lost, nothing else.
    }
  }

  EntryPlace entries;
  FreeSpace::Grant grant;
  Takes takes;
  bool linked = false;

 private:
  Qcow1Image& image_;
};

}  // namespace flatimg::qcow1
