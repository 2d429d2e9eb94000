#include "catalog/glance.h"

#include "android_sparse/header.h"
#include "catalog/probe.h"
#include "composite/header.h"
#include "qcow1/header.h"
#include "qcow2/qcow2_image.h"
#include "seekable_zstd/seek_table.h"

namespace flatimg::catalog {

namespace {

using Size = std::optional<ByteCount>;  // nullopt: no image after all

Result<Size> qcow2_size(HostFile& file) {
  TRY(const qcow2::Header header, qcow2::read_header(file));
  return Size(header.size);
}

Result<Size> qcow_size(HostFile& file) {
  TRY(const qcow1::Header header, qcow1::read_header(file));
  return Size(header.size);
}

Result<Size> sparse_size(HostFile& file) {
  TRY(const android_sparse::Header header, android_sparse::read_header(file));
  return Size(header.size());
}

Result<Size> composite_size(HostFile& file) {
  TRY(const composite::Header header, composite::read_header(file));
  return Size(header.length);
}

Result<Size> zstd_size(HostFile& file) {
  TRY(const auto frames, seekable_zstd::read_seek_table(file));
  return frames ? Size(frames->size()) : Size();
}

Result<Size> size_of(const std::string& format, HostFile& file) {
  if (format == "qcow2") return qcow2_size(file);
  if (format == "qcow") return qcow_size(file);
  if (format == "sparse") return sparse_size(file);
  if (format == "composite") return composite_size(file);
  if (format == "zstd") return zstd_size(file);
  return Size();
}

}  // namespace

Result<std::optional<Glance>> glance(HostFile& file) {
  TRY(std::string format, probe(file));
  TRY(const Size size, size_of(format, file));
  if (!size) return std::optional<Glance>();
  return std::optional(Glance{std::move(format), *size});
}

}  // namespace flatimg::catalog
