// Which backing file an image names: finding a new one, and recording it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "catalog/open.h"

namespace flatimg::catalog {

/// A backing file that an image is to get.
struct BackingRequest {
  std::string image;                  // the image that is to name it
  std::string name;                   // as it is to be recorded: relative to the image's directory
  std::optional<std::string> format;  // nullopt: probe
  std::vector<std::string> allowed_directories;
  std::shared_ptr<const Secret> passphrase = nullptr;
  OpenRequest::Content content = OpenRequest::Content::Needed;
};

struct FoundBacking {
  Opened opened;  // read-only
  std::vector<std::string> notes;
};

/// What the user of a qcow2 has to know when QEMU does not know the format of the file behind it; nothing otherwise.
[[nodiscard]] std::optional<std::string> note_on_qemu(const std::string& image, const std::string& backing_format);

/// Opens it where an image of that name would look for it, through the gate.
Result<FoundBacking> open_backing(const BackingRequest& request);

struct BackingName {
  std::string name;
  std::string format;
};

/// Unsupported for an image whose format cannot record another backing file: asked before anything else is changed.
Result<void> must_record_backing(const std::string& image);

/// Records another backing file in an image that nobody has open, or none. Changes nothing else.
Result<void> record_backing(const std::string& image, const std::optional<BackingName>& backing);

/// The backing file has been changed on purpose: what an image records of it, if it does, is looked at again. The image
/// is not open.
Result<void> renew_facts(const std::string& image);

}  // namespace flatimg::catalog
