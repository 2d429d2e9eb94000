// Commands that change an image which nobody has open: their options, and opening, changing and closing.
#pragma once

#include <functional>

#include "tools/image_options.h"
#include "view/disk.h"

namespace flatimg::tools {

/// An image that is changed: -q besides.
struct ChangeOptions : ImageChoice {
  bool quiet = false;
};
void add_change_options(CLI::App& command, ChangeOptions& options);

/// What opening the image for writing takes.
[[nodiscard]] catalog::OpenRequest open_request(const ChangeOptions& options);

/// Opens the image for writing, lets `change` work and closes it. The image is final when this returns, also when the
/// change failed.
Result<void> change_image(const ChangeOptions& options, const std::function<Result<void>(Disk&)>& change);

}  // namespace flatimg::tools
