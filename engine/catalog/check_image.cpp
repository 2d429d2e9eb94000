#include "catalog/check_image.h"

#include "android_sparse/check.h"
#include "android_sparse/header.h"
#include "base/text.h"
#include "catalog/check_composite.h"
#include "catalog/open.h"
#include "qcow1/check.h"
#include "qcow1/header.h"
#include "qcow2/check.h"
#include "qcow2/data_check.h"
#include "qcow2/qcow2_image.h"
#include "qcow2/repair.h"
#include "seekable_zstd/check.h"
#include "seekable_zstd/zstd_image.h"

namespace flatimg::catalog {

namespace {

constexpr const char* kNothingToCheck = "has nothing that can be checked";
constexpr const char* kNothingToRepair = "has nothing that can be repaired";

// Messages of a header say already which file is meant.
Failure about(const Inspected& image, Error error) {
  const std::string name = shown(image.path);
  return Failure(error.text.starts_with(name) ? std::move(error) : std::move(error).within(name));
}

// Decoding takes most of the time, where it is wanted.
constexpr unsigned kTablesPercent = 10;

Progress tables_part(const Progress& progress, CheckDepth depth) {
  return part_of(progress, 0, depth == CheckDepth::Data ? kTablesPercent : 100);
}

Result<CheckReport> to_depth(HostFile& file, CheckReport report, CheckDepth depth, const Progress& progress) {
  if (depth == CheckDepth::Tables) return report;
  TRY(const qcow2::Header header, qcow2::read_header(file, qcow2::HeaderUse::Check));
  const Progress data_part = part_of(progress, kTablesPercent, 100);
  TRY(report, qcow2::with_data_checked(file, header, std::move(report), data_part));
  tell(data_part, 1, 1);
  return report;
}

Result<CheckReport> check_qcow1(HostFile& file, CheckDepth depth, const Progress& progress) {
  TRY(const qcow1::Header header, qcow1::read_header(file));
  TRY(CheckReport report, qcow1::check(file, header, tables_part(progress, depth)));
  if (depth == CheckDepth::Tables) return report;
  return qcow1::with_data_checked(file, header, std::move(report), part_of(progress, kTablesPercent, 100));
}

Result<CheckReport> check_qcow2(HostFile& file, CheckDepth depth, const Progress& progress) {
  TRY(const qcow2::Header header, qcow2::read_header(file, qcow2::HeaderUse::Check));
  TRY(CheckReport report, qcow2::check(file, header, tables_part(progress, depth)));
  return to_depth(file, std::move(report), depth, progress);
}

Result<CheckReport> check_sparse(HostFile& file, const Progress& progress) {
  TRY(const android_sparse::Header header, android_sparse::read_header(file));
  return android_sparse::check(file, header, progress);
}

Result<CheckReport> check_zstd(HostFile& file, CheckDepth depth, const Progress& progress) {
  const ByteCount most = seekable_zstd::largest_frame(OpenRequest{}.cache_size);
  return depth == CheckDepth::Data ? seekable_zstd::check_with_data(file, most, progress)
                                   : seekable_zstd::check(file, most);
}

Result<CheckReport> check_format(const Inspected& image, CheckDepth depth, const Progress& progress) {
  if (image.format == "qcow2") return check_qcow2(*image.file, depth, progress);
  if (image.format == "qcow") return check_qcow1(*image.file, depth, progress);
  if (image.format == "sparse") return check_sparse(*image.file, progress);
  if (image.format == "zstd") return check_zstd(*image.file, depth, progress);
  return cannot(image, kNothingToCheck);
}

}  // namespace

Result<CheckedImage> check_image(const InspectRequest& request, CheckDepth depth, const Progress& progress) {
  TRY(const Inspected image, inspect(request));
  if (image.format == "composite") return check_composite(image, request, depth, progress);
  return check_inspected(image, depth, progress);
}

Result<CheckedImage> check_inspected(const Inspected& image, CheckDepth depth, const Progress& progress) {
  auto report = check_format(image, depth, progress);
  if (!report) return about(image, std::move(report.error()));
  return CheckedImage{image.format, *std::move(report)};
}

Result<RepairedImage> repair_image(const InspectRequest& request, RepairScope scope, CheckDepth depth,
                                   const Progress& progress) {
  if (request.locks == Locks::Ignore) {
    return fail(ErrorKind::BadUsage,
                "{}: an image that somebody else may be using cannot be repaired: repair it "
                "without --force-share",
                shown(request.path));
  }
  InspectRequest for_writing = request;
  for_writing.access = Access::ReadWrite;
  TRY(const Inspected image, inspect(for_writing));
  if (image.format == "composite") return cannot(image, "has nothing to repair but its parts: repair each of them");
  if (image.format == "qcow") return cannot(image, "counts nothing that could be repaired: convert it to qcow2");
  if (image.format != "qcow2") return cannot(image, kNothingToRepair);
  auto report = qcow2::repair(*image.file, scope, tables_part(progress, depth));
  if (!report) return about(image, std::move(report.error()));
  auto left = to_depth(*image.file, std::move(report->left), depth, progress);
  if (!left) return about(image, std::move(left.error()));
  report->left = *std::move(left);
  return RepairedImage{image.format, *std::move(report)};
}

}  // namespace flatimg::catalog
