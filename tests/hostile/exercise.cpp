#include "hostile/exercise.h"

#include <algorithm>
#include <vector>

#include "catalog/check_image.h"
#include "catalog/describe.h"
#include "catalog/open.h"
#include "view/disk.h"

namespace flatimg::test {

namespace {

constexpr std::uint64_t kMost = 4u << 20;  // of a disk at either end

std::vector<std::uint64_t> places(Disk& disk) {
  const std::uint64_t size = disk.size().value();
  std::vector<std::uint64_t> found;
  for (std::uint64_t at = 0; at < std::min(size, kMost); at += 256 * 1024) found.push_back(at);
  for (const std::uint64_t back : {std::uint64_t{1} << 20, std::uint64_t{70000}, std::uint64_t{1}}) {
    if (back < size) found.push_back(size - back);
  }
  return found;
}

void read_places(Disk& disk) {
  std::vector<std::byte> bytes(64 << 10);
  for (const std::uint64_t at : places(disk)) {
    const std::uint64_t count = std::min<std::uint64_t>(bytes.size(), disk.size().value() - at);
    (void)disk.read(GuestOffset(at), std::span(bytes).first(count));
  }
  GuestOffset at(0);
  for (unsigned n = 0; n < 100; ++n) {
    const auto data = disk.next_data(at);
    if (!data || !*data) break;
    const auto hole = disk.next_hole(**data);
    if (!hole) break;
    at = *hole;
    if (at.value() >= disk.size().value()) break;
  }
}

void write_places(Disk& disk) {
  const std::vector<std::byte> bytes(70000, std::byte{0x5a});
  unsigned n = 0;
  for (const std::uint64_t at : places(disk)) {
    const ByteCount count(std::min<std::uint64_t>(bytes.size(), disk.size().value() - at));
    const GuestRange range{GuestOffset(at), count};
    if (n % 3 == 0) (void)disk.write(range.begin, std::span(bytes).first(count.value()));
    if (n % 3 == 1) (void)disk.zero(range, Space::Keep);
    if (n % 3 == 2) (void)disk.zero(range, Space::Release);
    if (++n % 4 == 0) (void)disk.flush();
  }
}

void open_and(const catalog::OpenRequest& request, bool write) {
  auto opened = catalog::open_image(request);
  if (!opened) return;
  Disk disk(std::move(opened->chain), {});
  read_places(disk);
  if (write && disk.writable()) {
    write_places(disk);
    read_places(disk);
  }
  (void)disk.close();
}

}  // namespace

void exercise(const std::string& path, const std::string& format) {
  catalog::InspectRequest look;
  look.path = path;
  look.format = format;
  (void)catalog::describe_image(look);
  (void)catalog::check_image(look, catalog::CheckDepth::Data, {});
  catalog::OpenRequest request;
  request.path = path;
  request.format = format;
  request.cache_size = 4_MiB;
  request.flush_interval = std::chrono::milliseconds(0);
  request.access = Access::ReadOnly;
  open_and(request, false);
  request.access = Access::ReadWrite;
  open_and(request, true);
  (void)catalog::check_image(look, catalog::CheckDepth::Tables, {});
}

}  // namespace flatimg::test
