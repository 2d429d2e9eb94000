// A mount from its first look at the image to its exit code.
#pragma once

#include <string>

#include "base/result.h"
#include "fuse/options.h"

namespace flatimg::flat {

enum class Run { Background, Foreground };

struct MountRequest {
  std::string source;
  std::string mountpoint;
  MountOptions options;
};

/// Mounts. Background: returns 0 once the mount answers, in the process that called. Foreground (and the process in the
/// background): returns when the mount has ended, 0 when the image is final. Every failure has been written as one
/// line.
int serve(const MountRequest& request, Run run);

/// What can be said about a request without opening the image: source, mountpoint and options fit together.
Result<void> check_request(const MountRequest& request);

}  // namespace flatimg::flat
