// Refcounts: a copy beside the structure in use, that one write to the header can switch to.
#include "qcow2/refcount_block.h"
#include "qcow2/refcounts.h"

namespace flatimg::qcow2 {

std::uint64_t Refcounts::blocks() const {
  std::uint64_t blocks = 0;
  for (std::uint64_t block = 0; block < table_.size(); ++block)
    if (has_block(block)) ++blocks;
  return blocks;
}

Result<void> Refcounts::copy_to(ClusterRun table, const std::vector<std::uint64_t>& clusters) {
  std::vector<std::byte> bytes(layout_.cluster().value());
  std::vector<std::byte> words((layout_.cluster() * table.count).value());
  std::size_t next = 0;
  for (std::uint64_t block = 0; block < table_.size(); ++block) {
    if (!has_block(block)) continue;
    const HostOffset place = HostOffset(0) + layout_.cluster() * clusters.at(next++);
    CHECK(file_.read(block_at(block), bytes));
    CHECK(file_.write(place, std::span<const std::byte>(bytes)));
    store_be(std::span(words), block * sizeof(std::uint64_t), place.value());
  }
  return file_.write(HostOffset(0) + layout_.cluster() * table.first, std::span<const std::byte>(words));
}

Result<std::vector<ClusterRun>> Refcounts::change_used(ClusterRun run, Change change) {
  TRY(std::vector<Part> parts, parts_of(run));
  const unsigned order = layout_.refcount_order();
  for (const Part& part : parts) {
    for (std::uint64_t n = 0; n < part.count; ++n) {
      const std::uint64_t count = part.page.valid() ? read_counter(part.page.bytes(), part.index + n, order) : 0;
      if (count == 0) {
        return fail(ErrorKind::CorruptImage, "{}: host cluster {} is in use but not counted: run qemu-img check -r all",
                    file_.name(), part.first + n);
      }
      if (change == Change::Raise && count == layout_.largest_refcount()) {
        return fail(ErrorKind::Limit, "{}: the refcounts of {} bits cannot count one more use of host cluster {}",
                    file_.name(), 1u << order, part.first + n);
      }
    }
  }
  std::vector<ClusterRun> freed;
  for (Part& part : parts) {
    auto edit = part.page.edit(Step::Prepare);
    for (std::uint64_t n = 0; n < part.count; ++n) {
      const std::uint64_t old = read_counter(edit.bytes(), part.index + n, order);
      write_counter(edit.bytes(), part.index + n, order, change == Change::Raise ? old + 1 : old - 1);
      if (change == Change::Lower && old == 1) freed.push_back({part.first + n, 1});
    }
  }
  return freed;
}

Result<void> Refcounts::write_copy() {
  WriteOrder order;
  cache_.collect(order);
  if (auto done = order.run(file_, nullptr); !done) {
    cache_.failed();
    return Failure(std::move(done.error()));
  }
  cache_.written();
  return {};
}

void Refcounts::become(const Refcounts& copy) {
  for (const ClusterRun& old : own_clusters()) {
    cache_.forget({HostOffset(0) + layout_.cluster() * old.first, layout_.cluster() * old.count});
  }
  table_at_ = copy.table_at_;
  table_cluster_count_ = copy.table_cluster_count_;
  table_.replace(table_at_, copy.table_.words());
  for (const ClusterRun& fresh : own_clusters()) {  // from a former life as blocks
    cache_.forget({HostOffset(0) + layout_.cluster() * fresh.first, layout_.cluster() * fresh.count});
  }
}

}  // namespace flatimg::qcow2
