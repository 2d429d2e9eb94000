// The first cluster of a new image, as bytes.
#pragma once

#include <vector>

#include "base/result.h"
#include "qcow2/create.h"

namespace flatimg::qcow2 {

/// Where the tables of a new image are.
struct TablePlaces {
  std::uint32_t l1_entries = 0;
  HostOffset l1_table;
  HostOffset refcount_table;
  std::uint32_t refcount_table_clusters = 0;
  std::optional<HostRange> crypto_header;
};

/// Header, extensions and backing name in one cluster. BadUsage when they do not fit.
Result<std::vector<std::byte>> header_cluster(const CreateOptions& options, const TablePlaces& places);

}  // namespace flatimg::qcow2
