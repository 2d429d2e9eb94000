// Images that are made of others, one behind the other.
#pragma once

#include <span>
#include <string>

#include "image/image.h"

namespace flatimg {

/// A part of such an image.
struct DiskPart {
  GuestRange where;        // of the whole disk
  Image* image = nullptr;  // nullptr: reads as zeroes and cannot be written
  GuestOffset at;          // where it begins in that image, which has all of it
  std::string name;        // for messages
};

/// Writing goes to the images of the parts and never through this one: place(), link() and zero() are not called.
/// map() leads to them, for those who read what lies behind an overlay.
class DividedImage : public Image {
 public:
  /// In order, without gaps, never empty; they never change.
  [[nodiscard]] virtual std::span<const DiskPart> parts() const = 0;
};

}  // namespace flatimg
