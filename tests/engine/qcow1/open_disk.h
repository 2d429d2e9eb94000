// A disk over an image that a test has built.
#pragma once

#include "qcow1/qcow1_image.h"
#include "support/matchers.h"
#include "support/qcow1_builder.h"
#include "view/disk.h"

namespace flatimg::test {

inline qcow1::OpenOptions writing() {
  qcow1::OpenOptions options;
  options.writable = true;
  options.flush_interval = std::chrono::milliseconds(0);
  options.cache_size = 1_MiB;
  return options;
}

inline Result<std::unique_ptr<qcow1::Qcow1Image>> open_qcow1(std::unique_ptr<HostFile> file,
                                                             const qcow1::OpenOptions& options,
                                                             Image* below = nullptr) {
  TRY(qcow1::Header header, qcow1::read_header(*file));
  return qcow1::Qcow1Image::open(std::move(file), std::move(header), below, options);
}

/// `below` is the image behind the first one, or nullptr.
inline Result<std::unique_ptr<Disk>> open_disk(std::unique_ptr<HostFile> file, const qcow1::OpenOptions& options,
                                               std::unique_ptr<Image> below = nullptr) {
  std::vector<std::unique_ptr<Image>> chain;
  TRY(auto image, open_qcow1(std::move(file), options, below.get()));
  chain.push_back(std::move(image));
  if (below) chain.push_back(std::move(below));
  return std::make_unique<Disk>(std::move(chain), DiskOptions{});
}

inline std::vector<std::byte> content_of(Disk& disk) {
  std::vector<std::byte> bytes(disk.size().value());
  EXPECT_THAT(disk.read(GuestOffset(0), bytes), Succeeds());
  return bytes;
}

}  // namespace flatimg::test
