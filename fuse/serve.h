// A mount from its first look at the image to its exit code.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "fuse/loop_device.h"
#include "fuse/options.h"

namespace flatimg::flat {

enum class Run { Background, Foreground };

struct MountRequest {
  std::string source;
  std::string mountpoint;
  /// A loop device on the flat file instead of a mountpoint, which is ignored then.
  std::optional<Partitions> loop = {};
  MountOptions options;
  std::shared_ptr<const Secret> passphrase;  // of encrypted images, and of their snapshots
};

/// Mounts. Background: returns 0 once the mount answers, in the process that called, after `when_ready` was told the
/// loop device, if one was asked for. Foreground (and the process in the background): returns when the mount has ended,
/// 0 when the image is final. Every failure has been written as one line.
int serve(MountRequest request, Run run, const std::function<void(const std::string& device)>& when_ready = {});

/// What can be said about a request without opening the image: source, mountpoint and options fit together.
Result<void> check_request(const MountRequest& request);

}  // namespace flatimg::flat
