#include "fuse/second_look.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "base/text.h"
#include "catalog/describe.h"
#include "catalog/open.h"

namespace flatimg::flat {

namespace {

constexpr ByteCount kCache = 4_MiB;  // a snapshot is looked into, not worked on

std::string directory_of(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

/// A read-only mount makes no overlay, and takes an empty file for none.
bool has_overlay(const MountOptions& options) {
  struct stat found {};
  return options.overlay && ::stat(options.overlay->c_str(), &found) == 0 && found.st_size > 0;
}

}  // namespace

Result<SecondLook::Held> SecondLook::hold(const std::string& path) {
  std::error_code failed;
  Held held{std::filesystem::absolute(path, failed).lexically_normal().string(),
            Descriptor(::open(path.c_str(), O_PATH | O_CLOEXEC))};
  if (!held.file.valid()) return fail_os(errno, "{}", shown(path));
  return held;
}

Result<SecondLook> SecondLook::at(const std::string& source, const MountOptions& options,
                                  std::shared_ptr<const Secret> passphrase) {
  const bool overlay = has_overlay(options);
  TRY(Held image, hold(overlay ? *options.overlay : source));
  std::vector<std::string> allowed = options.allowed_directories;
  if (overlay) allowed.push_back(directory_of(source));
  TRY(Gate gate, Gate::around(image.path, allowed));
  gate.refuse_links_that_leave();
  SecondLook look(std::move(image), std::move(gate), std::move(passphrase));
  if (options.backing) {
    TRY(look.backing_, hold(*options.backing));
  }
  return look;
}

Result<std::unique_ptr<HostFile>> SecondLook::open(const std::string& path) const {
  const Descriptor& held = backing_ && path == backing_->path ? backing_->file : image_.file;
  Descriptor file(::open(fmt::format("/proc/self/fd/{}", held.get()).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return fail_os(errno, "{}", shown(path));
  return adopt_host_file(std::move(file), path, Access::ReadOnly);
}

Result<ImageInfo> SecondLook::describe() const {
  TRY(auto file, open(image_.path));
  catalog::InspectRequest request;
  request.path = image_.path;
  request.locks = catalog::Locks::Ignore;
  TRY(const catalog::Inspected image, catalog::inspect_opened(std::move(file), request));
  return catalog::describe_inspected(image);
}

Result<std::unique_ptr<Disk>> SecondLook::open_snapshot(const std::string& id) const {
  catalog::OpenRequest request;
  request.path = image_.path;
  request.access = Access::ReadOnly;
  request.snapshot = id;
  request.locks = false;
  request.gate = &gate_;
  request.cache_size = kCache;
  request.passphrase = passphrase_;
  if (backing_) request.backing = backing_->path;
  request.open_named = [this](const std::string& path, Access /*reading*/) { return open(path); };
  TRY(catalog::Opened opened, catalog::open_image(request));
  return std::make_unique<Disk>(std::move(opened.chain), DiskOptions());
}

}  // namespace flatimg::flat
