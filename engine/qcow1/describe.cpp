#include "qcow1/describe.h"

#include "host/host_file.h"
#include "qcow1/l1_table.h"

namespace flatimg::qcow1 {

namespace {

// An L1 table that cannot be used says nothing of its order; opening the image will tell why.
InfoFields xen_fields(HostFile& file, const Header& header) {
  InfoFields fields{{"min-cluster-alloc", {std::uint64_t{header.xen->clusters_at_once}}},
                    {"sparse", {header.xen->has(xen_flag::kSparse)}}};
  if (const auto table = read_l1_table(file, header)) {
    fields.push_back({"l1-byte-order", {std::string(table->order == ByteOrder::Big ? "big" : "little")}});
    fields.push_back({"l1-checksum-valid", {table->checksum_right}});
    fields.push_back({"full-extents", {in_extents(header, *table)}});
  }
  return fields;
}

}  // namespace

Result<ImageInfo> describe(HostFile& file, const Header& header) {
  ImageInfo info;
  info.format = "qcow";
  info.virtual_size = header.size;
  TRY(info.actual_size, file.allocated());
  info.cluster_size = header.cluster();
  info.encrypted = header.crypt_method != 0;
  info.backing_name = header.backing_name;
  if (header.xen) info.details.push_back({"xen", {xen_fields(file, header)}});
  return info;
}

}  // namespace flatimg::qcow1
