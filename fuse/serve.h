// A mount from its first look at the image to its exit code.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "fuse/options.h"

namespace flatimg::flat {

enum class Run { Background, Foreground };

struct MountRequest {
  std::string source;
  std::string mountpoint;
  MountOptions options;
  std::shared_ptr<const Secret> passphrase;  // of encrypted images; forgotten as soon as they are open
};

/// Mounts. Background: returns 0 once the mount answers, in the process that called. Foreground (and the process in the
/// background): returns when the mount has ended, 0 when the image is final. Every failure has been written as one
/// line.
int serve(MountRequest request, Run run);

/// What can be said about a request without opening the image: source, mountpoint and options fit together.
Result<void> check_request(const MountRequest& request);

}  // namespace flatimg::flat
