#include "qcow2/rebuild.h"

#include <array>

#include "base/checked.h"
#include "base/endian.h"
#include "base/limits.h"
#include "qcow2/census.h"
#include "qcow2/counters_on_disk.h"
#include "qcow2/header_fields.h"
#include "qcow2/refcount_block.h"

namespace flatimg::qcow2 {

namespace {

// Where the new structure goes, in clusters: the snapshot table from `first`, then the blocks, then the refcount table.
struct Plan {
  std::uint64_t first = 0;
  std::uint64_t snapshot_clusters = 0;
  std::vector<std::uint64_t> blocks = {};  // their numbers; what they would count is nothing for all others
  std::uint64_t table_clusters = 0;

  [[nodiscard]] std::uint64_t first_block() const { return first + snapshot_clusters; }
  [[nodiscard]] std::uint64_t table() const { return first_block() + blocks.size(); }
  [[nodiscard]] std::uint64_t end() const { return table() + table_clusters; }
  [[nodiscard]] std::uint64_t clusters() const { return end() - first; }
  [[nodiscard]] bool contains(std::uint64_t cluster) const { return cluster >= first && cluster < end(); }
};

class Planner {
 public:
  Planner(const HostFile& file, const Layout& layout, const Census& census, std::uint64_t unused_from)
      : file_(file), layout_(layout), census_(census), unused_from_(unused_from) {}

  Result<Plan> plan(std::uint64_t snapshot_table_bytes) {
    Plan plan;
    plan.snapshot_clusters = ceil_divide(snapshot_table_bytes, layout_.cluster().value());
    for (;;) {
      const std::uint64_t wanted = plan.clusters();
      TRY(plan.first, gap_of(wanted));
      const std::uint64_t entries = ceil_divide(plan.end(), layout_.counters_per_block());
      plan.table_clusters = ceil_divide(entries * 8, layout_.cluster().value());
      plan.blocks = blocks_for(plan, entries);
      if (plan.clusters() == wanted) break;
    }
    CHECK(check_limits(plan));
    return plan;
  }

 private:
  // The first place for so many clusters that nothing names.
  Result<std::uint64_t> gap_of(std::uint64_t clusters) {
    const std::uint64_t end = census_.file_clusters + census_.named_behind.size();
    std::uint64_t first = unused_from_;
    for (std::uint64_t cluster = first; cluster < first + clusters; ++cluster) {
      if (cluster >= end) {
        return fail(ErrorKind::Limit, "{}: there is no room behind the end of the file that nothing points to",
                    file_.name());
      }
      if (census_.expected(cluster) != 0 || census_.named_behind_file(cluster)) first = cluster + 1;
    }
    return first;
  }

  std::vector<std::uint64_t> blocks_for(const Plan& plan, std::uint64_t entries) {
    std::vector<std::uint64_t> blocks;
    const std::uint64_t per_block = layout_.counters_per_block();
    for (std::uint64_t block = 0; block < entries; ++block) {
      const std::uint64_t first = block * per_block;
      const std::uint64_t end = first + per_block;
      const bool counts_plan = first < plan.end() && plan.first < end;
      if (counts_plan || census_.counts.next_referenced(first, end) < end) blocks.push_back(block);
    }
    return blocks;
  }

  Result<void> check_limits(const Plan& plan) {
    if (layout_.cluster() * plan.table_clusters > limits::kQcow2RefcountTable) {
      return fail(ErrorKind::Limit, "{}: the refcount table would become too large", file_.name());
    }
    if (file_.is_block_device() && plan.end() > census_.file_clusters) {
      return fail(ErrorKind::NoSpace,
                  "{}: {} clusters for new refcounts do not fit behind what is used: copy the image "
                  "to a larger device first",
                  file_.name(), plan.clusters());
    }
    return {};
  }

  const HostFile& file_;
  const Layout layout_;
  const Census& census_;
  std::uint64_t unused_from_;
};

// Writes the structure where the plan says.
class NewRefcounts {
 public:
  NewRefcounts(HostFile& file, const Layout& layout, const Census& census, const Plan& plan)
      : file_(file), layout_(layout), census_(census), plan_(plan) {}

  Result<void> write() {
    for (std::size_t n = 0; n < plan_.blocks.size(); ++n) CHECK(write_block(n));
    return write_table();
  }

 private:
  [[nodiscard]] HostOffset cluster_at(std::uint64_t cluster) const {
    return HostOffset(cluster * layout_.cluster().value());
  }
  [[nodiscard]] std::uint64_t count_of(std::uint64_t cluster) const {
    if (plan_.contains(cluster)) return 1;
    return std::min(census_.expected(cluster), layout_.largest_refcount());
  }

  Result<void> write_block(std::size_t nth) {
    std::vector<std::byte> bytes(layout_.cluster().value());
    const std::uint64_t first = plan_.blocks[nth] * layout_.counters_per_block();
    for (std::uint64_t n = 0; n < layout_.counters_per_block(); ++n) {
      if (const std::uint64_t count = count_of(first + n); count > 0) {
        write_counter(bytes, n, layout_.refcount_order(), count);
      }
    }
    return file_.write(cluster_at(plan_.first_block() + nth), std::span<const std::byte>(bytes));
  }

  Result<void> write_table() {
    std::vector<std::byte> bytes((layout_.cluster() * plan_.table_clusters).value());
    for (std::size_t n = 0; n < plan_.blocks.size(); ++n) {
      store_be(std::span(bytes), plan_.blocks[n] * 8, cluster_at(plan_.first_block() + n).value());
    }
    return file_.write(cluster_at(plan_.table()), std::span<const std::byte>(bytes));
  }

  HostFile& file_;
  const Layout layout_;
  const Census& census_;
  const Plan& plan_;
};

// What replaces the old structure.
struct Replacement {
  Header header;  // with the counters' new width
  std::uint64_t unused_from = 0;
  std::optional<std::vector<std::byte>> snapshot_table = std::nullopt;
};

void point(Header& header, const Plan& plan, const Replacement& replacement) {
  header.refcount_table = HostOffset(plan.table() * header.cluster().value());
  header.refcount_table_clusters = static_cast<std::uint32_t>(plan.table_clusters);
  if (!replacement.snapshot_table) return;
  header.snapshot_table = HostOffset(plan.snapshot_clusters == 0 ? 0 : plan.first * header.cluster().value());
}

// Everything in its place, then the header. `plan` is for this replacement.
Result<Header> replace(HostFile& file, const Census& census, const Plan& plan, const Replacement& replacement) {
  Header header = replacement.header;
  CHECK(NewRefcounts(file, Layout(header), census, plan).write());
  if (plan.snapshot_clusters > 0) {
    CHECK(file.write(HostOffset(plan.first * header.cluster().value()),
                     std::span<const std::byte>(*replacement.snapshot_table)));
  }
  CHECK(file.barrier());
  point(header, plan, replacement);
  CHECK(write_table_pointers(file, header));
  CHECK(file.barrier());
  return header;
}

Result<std::uint64_t> unused_from(HostFile& file, const Header& header, const Census& census) {
  if (!file.is_block_device()) return census.clusters();
  TRY(const Census everything, Census::take(file, header, {}));
  return everything.counts.end();
}

// --- damaged images -------------------------------------------------------------------------------------------------

unsigned order_for(std::uint64_t count, const Header& header) {
  unsigned order = header.refcount_order;
  while (header.version >= 3 && order < 6 && count >> (1u << order) != 0) ++order;
  return order;
}

// Counters of clusters that nothing readable names are kept: a lost table may name them.
Result<void> keep_old_counts(HostFile& file, const Header& header, Census& census) {
  TRY(CountersOnDisk old, CountersOnDisk::of(file, header));
  const std::uint64_t clusters = census.clusters();
  for (std::uint64_t cluster = 0; cluster < clusters; ++cluster) {
    if (!old.has_block(cluster)) {
      cluster = old.end_of_block(cluster) - 1;
      continue;
    }
    TRY(const auto count, old.count_of(cluster));
    if (count && *count > census.expected(cluster)) census.counts.set(cluster, *count);
  }
  return {};
}

Result<Census> census_of_what_stays(HostFile& file, const Header& header, const Census& found) {
  const auto scope = found.snapshot_faults > 0 ? Census::Scope::OnlyWhatStays : Census::Scope::WithoutRefcountStructure;
  TRY(Census census, Census::take(file, header, {.scope = scope, .excess = Excess::Drop}));
  if (found.lost_tables > 0) CHECK(keep_old_counts(file, header, census));
  return census;
}

Replacement replacement_for(const HostFile& file, const Header& header, const Census& found, const Census& census) {
  Replacement replacement{header, found.file_clusters};
  replacement.header.refcount_order = order_for(census.counts.largest(), header);
  if (file.is_block_device()) replacement.unused_from = std::max(found.counts.end(), census.counts.end());
  if (found.snapshot_faults > 0) {
    replacement.snapshot_table = snapshot_table_bytes(census.snapshots.snapshots);
    replacement.header.snapshots = static_cast<std::uint32_t>(census.snapshots.snapshots.size());
  }
  return replacement;
}

bool anything_named_below(const Census& census, std::uint64_t end) {
  std::uint64_t cluster = census.file_clusters;
  while (cluster < end && !census.named_behind_file(cluster)) ++cluster;
  return cluster < end;
}

}  // namespace

Result<void> rebuild_refcounts(HostFile& file, Header& header) {
  TRY(const Census census, Census::take(file, header, {.scope = Census::Scope::WithoutRefcountStructure}));
  if (census.findings.corruptions > 0 || census.counts.largest() > Layout(header).largest_refcount()) {
    return fail(ErrorKind::CorruptImage,
                "{}: the image was not closed cleanly and its tables are damaged: run flatimg check -r all",
                file.name());
  }
  TRY(const std::uint64_t from, unused_from(file, header, census));
  TRY(const Plan plan, Planner(file, Layout(header), census, from).plan(0));
  TRY(header, replace(file, census, plan, {header, from}));
  header.incompatible &= ~incompatible::kDirty;
  CHECK(write_incompatible(file, header.incompatible));
  return file.barrier();
}

// Where something names clusters between the end of the file and the new structure, the file grows over them first:
// they are part of the file from then on (and read as the zeroes that they were), and the next census counts them.
Result<void> rebuild_damaged(HostFile& file, Header& header, const Census& found) {
  constexpr int kMostAttempts = 4;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    TRY(Census census, census_of_what_stays(file, header, found));
    const Replacement replacement = replacement_for(file, header, found, census);
    const Layout layout(replacement.header);
    const std::uint64_t table_bytes = replacement.snapshot_table ? replacement.snapshot_table->size() : 0;
    TRY(const Plan plan, Planner(file, layout, census, replacement.unused_from).plan(table_bytes));
    if (!anything_named_below(census, plan.end())) {
      TRY(header, replace(file, census, plan, replacement));
      return {};
    }
    CHECK(file.resize(layout.cluster() * plan.end()));
    CHECK(file.barrier());
  }
  return fail(ErrorKind::Limit, "{}: there is no room behind the end of the file that nothing points to", file.name());
}

}  // namespace flatimg::qcow2
