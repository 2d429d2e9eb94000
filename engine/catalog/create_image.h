// Makes new images.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "catalog/inspect.h"

namespace flatimg::catalog {

struct CreateRequest {
  std::string path;
  std::string format;
  std::optional<ByteCount> size;  // nullopt: that of the backing file
  /// Names and values as qemu-img's -o has them.
  std::vector<std::pair<std::string, std::string>> options;
  std::optional<std::string> backing;         // as it is to be recorded: relative to the new image's directory
  std::optional<std::string> backing_format;  // nullopt: probed and recorded
  std::vector<std::string> allowed_directories;
  std::shared_ptr<const Secret> passphrase;  // of the new image, when the options ask for encryption
};

/// Makes an image, over what is there unless somebody has it open. Options that make no sense are refused before
/// anything is touched. On an error a file that did not exist is gone again. Returns notes for people.
Result<std::vector<std::string>> create_image(const CreateRequest& request);

}  // namespace flatimg::catalog
