#include "qcow2/rebuild.h"

#include <array>

#include "base/checked.h"
#include "base/endian.h"
#include "base/limits.h"
#include "host/host_file.h"
#include "qcow2/census.h"
#include "qcow2/refcount_block.h"

namespace flatimg::qcow2 {

namespace {

// Where the new structure goes, in clusters: the blocks from `first`, then the table.
struct Plan {
  std::uint64_t first = 0;
  std::uint64_t blocks = 0;
  std::uint64_t table_clusters = 0;
  [[nodiscard]] std::uint64_t end() const { return first + blocks + table_clusters; }
};

Plan plan_for(std::uint64_t used, const Layout& layout) {
  Plan plan{used, 0, 0};
  for (;;) {
    const std::uint64_t blocks = ceil_divide(plan.end(), layout.counters_per_block());
    const std::uint64_t table = ceil_divide(blocks * 8, layout.cluster().value());
    if (blocks == plan.blocks && table == plan.table_clusters) return plan;
    plan.blocks = blocks;
    plan.table_clusters = table;
  }
}

class Rebuild {
 public:
  Rebuild(HostFile& file, Header& header, const Census& census)
      : file_(file), header_(header), layout_(header), census_(census), plan_(plan_for(census.clusters(), layout_)) {}

  Result<void> run() {
    if (layout_.cluster() * plan_.table_clusters > limits::kQcow2RefcountTable) {
      return fail(ErrorKind::Limit, "{}: the refcount table would become too large", file_.name());
    }
    for (std::uint64_t block = 0; block < plan_.blocks; ++block) CHECK(write_block(block));
    CHECK(write_table());
    CHECK(file_.barrier());
    CHECK(point_header());
    CHECK(file_.barrier());
    CHECK(clear_dirty());
    return file_.barrier();
  }

 private:
  [[nodiscard]] HostOffset cluster_at(std::uint64_t cluster) const {
    return HostOffset(0) + layout_.cluster() * cluster;
  }
  [[nodiscard]] std::uint64_t count_of(std::uint64_t cluster) const {
    if (cluster >= plan_.first) return cluster < plan_.end() ? 1 : 0;
    return census_.expected(cluster);
  }

  Result<void> write_block(std::uint64_t block) {
    std::vector<std::byte> bytes(layout_.cluster().value());
    for (std::uint64_t n = 0; n < layout_.counters_per_block(); ++n) {
      const std::uint64_t cluster = block * layout_.counters_per_block() + n;
      const std::uint64_t count = count_of(cluster);
      if (count > layout_.largest_refcount()) {
        return fail(ErrorKind::CorruptImage, "{}: host cluster {} is referenced {} times, more than can be counted",
                    file_.name(), cluster, count);
      }
      if (count > 0) write_counter(bytes, n, layout_.refcount_order(), count);
    }
    return file_.write(cluster_at(plan_.first + block), std::span<const std::byte>(bytes));
  }

  Result<void> write_table() {
    std::vector<std::byte> bytes((layout_.cluster() * plan_.table_clusters).value());
    for (std::uint64_t block = 0; block < plan_.blocks; ++block) {
      store_be(std::span(bytes), block * 8, cluster_at(plan_.first + block).value());
    }
    return file_.write(cluster_at(plan_.first + plan_.blocks), std::span<const std::byte>(bytes));
  }

  Result<void> point_header() {
    std::array<std::byte, 12> pointer{};
    header_.refcount_table = cluster_at(plan_.first + plan_.blocks);
    header_.refcount_table_clusters = static_cast<std::uint32_t>(plan_.table_clusters);
    store_be(std::span(pointer), 0, header_.refcount_table.value());
    store_be(std::span(pointer), 8, header_.refcount_table_clusters);
    return file_.write(field::kRefcountTable, std::span<const std::byte>(pointer));
  }

  Result<void> clear_dirty() {
    std::array<std::byte, 8> word{};
    header_.incompatible &= ~incompatible::kDirty;
    store_be(std::span(word), 0, header_.incompatible);
    return file_.write(field::kIncompatible, std::span<const std::byte>(word));
  }

  HostFile& file_;
  Header& header_;
  const Layout layout_;
  const Census& census_;
  const Plan plan_;
};

}  // namespace

Result<void> rebuild_refcounts(HostFile& file, Header& header) {
  TRY(const Census census, Census::take(file, header, Census::Scope::WithoutRefcountStructure));
  if (census.findings.corruptions() > 0) {
    return fail(ErrorKind::CorruptImage,
                "{}: the image was not closed cleanly and its tables are damaged: run qemu-img check -r all",
                file.name());
  }
  return Rebuild(file, header, census).run();
}

}  // namespace flatimg::qcow2
