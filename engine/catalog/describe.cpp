#include "catalog/describe.h"

#include "android_sparse/describe.h"
#include "android_sparse/header.h"
#include "base/text.h"
#include "catalog/chain_walk.h"
#include "catalog/open.h"
#include "composite/describe.h"
#include "qcow1/describe.h"
#include "qcow1/header.h"
#include "qcow2/describe.h"
#include "qcow2/qcow2_image.h"
#include "seekable_zstd/describe.h"
#include "seekable_zstd/zstd_image.h"

namespace flatimg::catalog {

namespace {

Result<ImageInfo> describe_raw(HostFile& file) {
  ImageInfo info;
  info.format = "raw";
  TRY(info.virtual_size, file.size());
  TRY(info.actual_size, file.allocated());
  return info;
}

Result<ImageInfo> describe_qcow2(HostFile& file) {
  TRY(const qcow2::Header header, qcow2::read_header(file));
  return qcow2::describe(file, header);
}

Result<ImageInfo> describe_qcow1(HostFile& file) {
  TRY(const qcow1::Header header, qcow1::read_header(file));
  return qcow1::describe(file, header);
}

Result<ImageInfo> describe_sparse(HostFile& file) {
  TRY(const android_sparse::Header header, android_sparse::read_header(file));
  return android_sparse::describe(file, header);
}

// What cannot be opened with the usual budget is not described either.
Result<ImageInfo> describe_zstd(HostFile& file) {
  return seekable_zstd::describe(file, seekable_zstd::largest_frame(OpenRequest{}.cache_size));
}

Result<ImageInfo> describe_format(const Inspected& image) {
  if (image.format == "raw") return describe_raw(*image.file);
  if (image.format == "qcow2") return describe_qcow2(*image.file);
  if (image.format == "qcow") return describe_qcow1(*image.file);
  if (image.format == "sparse") return describe_sparse(*image.file);
  if (image.format == "zstd") return describe_zstd(*image.file);
  if (image.format == "composite") return composite::describe(*image.file);
  return cannot(image, "cannot be described yet");
}

}  // namespace

Result<ImageInfo> describe_inspected(const Inspected& image) {
  Result<ImageInfo> info = describe_format(image);
  if (!info) {
    const bool named = info.error().text.starts_with(image.path);
    return Failure(named ? std::move(info.error()) : std::move(info.error()).within(shown(image.path)));
  }
  info->filename = image.path;
  if (info->backing_name) info->full_backing_name = full_name(*info->backing_name, image.path);
  return info;
}

Result<ImageInfo> describe_image(const InspectRequest& request) {
  TRY(const Inspected image, inspect(request));
  return describe_inspected(image);
}

Result<std::vector<ImageInfo>> describe_chain(const InspectRequest& request) {
  std::vector<ImageInfo> chain;
  CHECK(walk_chain(request, [&](const Inspected& image) -> Result<std::optional<Backing>> {
    TRY(ImageInfo info, describe_inspected(image));
    chain.push_back(std::move(info));
    if (!chain.back().backing_name) return std::optional<Backing>();
    return std::optional(Backing{*chain.back().backing_name, chain.back().backing_format});
  }));
  return chain;
}

}  // namespace flatimg::catalog
