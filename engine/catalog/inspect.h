// Opening a file to look at it, without opening the image: what describe, check and create share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/posix_file.h"

namespace flatimg::catalog {

enum class Locks { Take, Ignore };

struct InspectRequest {
  std::string path;
  std::optional<std::string> format;             // nullopt: probe
  std::vector<std::string> allowed_directories;  // allow-path=
  Locks locks = Locks::Take;                     // Ignore: look at an image that somebody writes (--force-share)
  Access access = Access::ReadOnly;              // ReadWrite: nobody else may have the image open
};

struct Inspected {
  std::unique_ptr<HostFile> file;
  std::string path;
  std::string format;
};

/// Opens the file, takes a lock (a reader's, or a writer's for Access::ReadWrite) and finds its format.
Result<Inspected> inspect(const InspectRequest& request);

/// The same for a file that is open already. BadUsage for a word that is no format.
Result<Inspected> inspect_opened(std::unique_ptr<HostFile> file, const InspectRequest& request);

/// Unsupported (or BadUsage), with what the format cannot do.
[[nodiscard]] Failure cannot(const Inspected& image, std::string_view what);

}  // namespace flatimg::catalog
