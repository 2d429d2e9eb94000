#include "fuse/tree/kind_of_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "catalog/glance.h"
#include "fuse/attributes.h"

namespace flatimg::flat::tree {

namespace {

constexpr off_t kSmallestImage = 20;  // shorter files have no header

KnownKind::State state_of(const struct stat& status) {
  return {nanoseconds(status.st_ctim), nanoseconds(status.st_mtim), status.st_size};
}

KnownKind ordinary(const struct stat& status) {
  KnownKind known;
  known.of = state_of(status);
  return known;
}

bool can_be_image(const struct stat& status) { return S_ISREG(status.st_mode) && status.st_size >= kSmallestImage; }

}  // namespace

bool still_holds(const KnownKind& known, const struct stat& now) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  if (known.of != state_of(now)) return false;
  return now_in_nanoseconds() - std::max(known.of.changed, known.of.modified) > kSecond;
}

KnownKind kind_of(Descriptor file, const Seen& seen, const std::string& path) {
  KnownKind known = ordinary(seen.status);
  if (!can_be_image(seen.status)) return known;
  auto host_file = adopt_host_file(std::move(file), path, Access::ReadOnly);
  if (!host_file) return known;
  const auto glance = catalog::glance(**host_file);
  if (!glance) {
    known.kind = KnownKind::Kind::Broken;
  } else if (*glance) {
    known.kind = KnownKind::Kind::Image;
    known.format = (*glance)->format;
    known.virtual_size = (*glance)->virtual_size;
  }
  return known;
}

KnownKind kind_of(const Descriptor& directory, const std::string& name, const Seen& seen) {
  if (!can_be_image(seen.status)) return ordinary(seen.status);
  auto file = open_name(directory, name, O_RDONLY | O_NOATIME);
  if (!file && file.error() == EPERM) file = open_name(directory, name, O_RDONLY);
  if (!file) return ordinary(seen.status);
  const auto opened = see(*file);
  if (!opened || opened->key != seen.key || !S_ISREG(opened->status.st_mode)) return ordinary(seen.status);
  return kind_of(*std::move(file), *opened, name);
}

}  // namespace flatimg::flat::tree
