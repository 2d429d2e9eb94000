#include "fuse/confined_look.h"

#include "catalog/encrypted.h"
#include "fuse/confine.h"
#include "fuse/process.h"
#include "fuse/reach.h"

namespace flatimg::flat {

catalog::OpenRequest open_request(const std::string& source, const MountOptions& options) {
  catalog::OpenRequest request;
  request.path = source;
  request.format = options.format;
  request.access = options.read_only ? Access::ReadOnly : Access::ReadWrite;
  request.allowed_directories = options.allowed_directories;
  request.backing = options.backing;
  request.pieces = options.pieces;
  request.snapshot = options.snapshot;
  request.overlay = options.overlay;
  request.cache_size = options.cache_size;
  request.flush_interval = options.flush_interval;
  request.locks = options.locks;
  return request;
}

std::optional<std::string> find_encrypted(const std::string& source, const MountOptions& options) {
  MountOptions reading = options;
  reading.read_only = true;
  const auto answer = ask_child([&] {
    if (options.sandbox) (void)confine(files_of_mount(source, reading));  // the mount tells what is missing
    return catalog::encrypted_image(open_request(source, reading)).value_or(std::string());
  });
  return answer && !answer->empty() ? answer : std::nullopt;
}

}  // namespace flatimg::flat
