#include "qcow2/refcounts.h"

#include <algorithm>
#include <array>

#include "qcow2/refcount_block.h"

namespace flatimg::qcow2 {

namespace {

constexpr ByteCount kPage{4096};

}  // namespace

Refcounts::Refcounts(HostFile& file, TableSpace& table_space, const Header& header, ByteCount cache_budget)
    : file_(file),
      table_space_(table_space),
      layout_(header),
      cache_(file, std::min(kPage, header.cluster()), cache_budget),
      table_at_(header.refcount_table),
      table_cluster_count_(header.refcount_table_clusters) {}

HostOffset Refcounts::block_at(std::uint64_t block) const {
  return HostOffset(table_.load(block) & ~kRefcountTableReserved);
}

Result<void> Refcounts::open(std::uint64_t file_clusters) {
  CHECK(table_.read(file_, table_at_, table_cluster_count_ * (layout_.cluster().value() / 8)));
  std::vector<std::uint64_t> seen;
  for (std::uint64_t block = 0; block < table_.size(); ++block) {
    const std::uint64_t entry = table_.load(block);
    if (entry == 0) continue;
    const HostOffset at = block_at(block);
    if ((entry & kRefcountTableReserved) != 0 || !(at % layout_.cluster()).is_zero() ||
        at / layout_.cluster() >= file_clusters) {
      return fail(ErrorKind::CorruptImage,
                  "{}: refcount block {} lies at byte {}, which is not a cluster of the file: run flatimg check -r all",
                  file_.name(), block, at.value());
    }
    seen.push_back(at.value());
  }
  std::sort(seen.begin(), seen.end());
  if (const auto twice = std::adjacent_find(seen.begin(), seen.end()); twice != seen.end()) {
    return fail(ErrorKind::CorruptImage, "{}: two refcount blocks lie at byte {}: run flatimg check -r all",
                file_.name(), *twice);
  }
  return {};
}

Result<Refcounts::Part> Refcounts::part_at(std::uint64_t cluster, std::uint64_t at_most) {
  const std::uint64_t block = cluster / counters_per_block();
  const std::uint64_t in_block = cluster % counters_per_block();
  const std::uint64_t per_page = cache_.page_size().value() * 8 >> layout_.refcount_order();
  Part part;
  part.index = in_block % per_page;
  part.count = std::min(at_most, per_page - part.index);
  if (!has_block(block)) return part;
  const HostOffset page_at = block_at(block) + cache_.page_size() * (in_block / per_page);
  TRY(part.page, cache_.pin(page_at));
  return part;
}

Result<std::uint64_t> Refcounts::count_of(std::uint64_t cluster) {
  TRY(const Part part, part_at(cluster, 1));
  return part.page.valid() ? read_counter(part.page.bytes(), part.index, layout_.refcount_order()) : 0;
}

Result<std::uint64_t> Refcounts::count_quietly(std::uint64_t cluster, QuietPage& page) {
  const std::uint64_t block = cluster / counters_per_block();
  if (!has_block(block)) return std::uint64_t{0};
  const std::uint64_t per_page = cache_.page_size().value() * 8 >> layout_.refcount_order();
  const std::uint64_t in_block = cluster % counters_per_block();
  const HostOffset at = block_at(block) + cache_.page_size() * (in_block / per_page);
  const auto counter = [&](std::span<const std::byte> bytes) {
    return read_counter(bytes, in_block % per_page, layout_.refcount_order());
  };
  if (page.at_ != at) {
    if (const auto cached = cache_.peek(at); cached.valid()) return counter(cached.bytes());
    page.at_.reset();
    CHECK(file_.read(at, page.memory_.at_least(cache_.page_size().value())));
    page.at_ = at;
    ++page.reads_;
  }
  return counter(page.memory_.view(cache_.page_size().value()));
}

Result<std::uint64_t> Refcounts::free_prefix(ClusterRun run) {
  TRY(const Part part, part_at(run.first, run.count));
  if (!part.page.valid()) return part.count;
  std::uint64_t n = 0;
  while (n < part.count && read_counter(part.page.bytes(), part.index + n, layout_.refcount_order()) == 0) ++n;
  return n;
}

Result<std::uint64_t> Refcounts::used_prefix(ClusterRun run) {
  TRY(const Part part, part_at(run.first, run.count));
  if (!part.page.valid()) return std::uint64_t{0};
  std::uint64_t n = 0;
  while (n < part.count && read_counter(part.page.bytes(), part.index + n, layout_.refcount_order()) != 0) ++n;
  return n;
}

Result<std::vector<Refcounts::Part>> Refcounts::parts_of(ClusterRun run) {
  std::vector<Part> parts;
  for (std::uint64_t done = 0; done < run.count; done += parts.back().count) {
    TRY(Part part, part_at(run.first + done, run.count - done));
    part.first = run.first + done;
    parts.push_back(std::move(part));
  }
  return parts;
}

Result<void> Refcounts::raise(ClusterRun run) {
  TRY(std::vector<Part> parts, parts_of(run));
  for (const Part& part : parts) {
    assert(part.page.valid());
    CHECK(table_space_.reserve({block_at(part.first / counters_per_block()), layout_.cluster()}));
    for (std::uint64_t n = 0; n < part.count; ++n) {
      if (read_counter(part.page.bytes(), part.index + n, layout_.refcount_order()) == layout_.largest_refcount()) {
        return fail(ErrorKind::Limit, "the refcount of host cluster {} would exceed its width", part.first + n);
      }
    }
  }
  for (Part& part : parts) (void)part.page.edit(Step::Prepare);  // what may lack memory; the caller keeps flushes out
  for (Part& part : parts) {
    auto edit = part.page.edit(Step::Prepare);
    for (std::uint64_t n = 0; n < part.count; ++n) {
      const auto old = read_counter(edit.bytes(), part.index + n, layout_.refcount_order());
      write_counter(edit.bytes(), part.index + n, layout_.refcount_order(), old + 1);
    }
  }
  return {};
}

// What may fail comes before the first change.
Result<std::vector<ClusterRun>> Refcounts::lower(ClusterRun run) {
  TRY(std::vector<Part> parts, parts_of(run));
  for (const Part& part : parts) CHECK(check_counted(part));
  std::vector<ClusterRun> freed;
  freed.reserve(run.count);
  for (Part& part : parts) (void)part.page.edit(Step::Mention);  // what may lack memory; the caller keeps flushes out
  for (Part& part : parts) {
    auto edit = part.page.edit(Step::Mention);
    for (std::uint64_t n = 0; n < part.count; ++n) {
      const std::uint64_t cluster = part.first + n;
      const auto old = read_counter(edit.bytes(), part.index + n, layout_.refcount_order());
      write_counter(edit.bytes(), part.index + n, layout_.refcount_order(), old - 1);
      if (old > 1) continue;
      if (!freed.empty() && freed.back().end() == cluster) {
        ++freed.back().count;
      } else {
        freed.push_back({cluster, 1});
      }
    }
  }
  return freed;
}

Result<void> Refcounts::check_counted(const Part& part) const {
  for (std::uint64_t n = 0; n < part.count; ++n) {
    if (part.page.valid() && read_counter(part.page.bytes(), part.index + n, layout_.refcount_order()) != 0) continue;
    return fail(ErrorKind::CorruptImage, "host cluster {} was in use, but is counted as free", part.first + n);
  }
  return {};
}

bool Refcounts::has_block(std::uint64_t block) const { return block < table_.size() && table_.load(block) != 0; }

HostRange Refcounts::entry_of(std::uint64_t block) const { return {table_at_ + ByteCount(8) * block, ByteCount(8)}; }

void Refcounts::add_block(std::uint64_t block, std::uint64_t cluster) {
  table_.store(block, (HostOffset(0) + layout_.cluster() * cluster).value());
}

void Refcounts::remove_block(std::uint64_t block) { table_.store(block, 0); }

ClusterRun Refcounts::table_clusters() const { return {table_at_ / layout_.cluster(), table_cluster_count_}; }

void Refcounts::move_table(ClusterRun place) {
  const HostOffset at = HostOffset(0) + layout_.cluster() * place.first;
  table_.move_to(at, place.count * (layout_.cluster().value() / 8));  // nothing has changed when memory ends here
  table_at_ = at;
  table_cluster_count_ = static_cast<std::uint32_t>(place.count);
  moved_before_ = std::exchange(table_moved_, true);
}

void Refcounts::undo_move_table(ClusterRun former) {
  const bool moved_before = moved_before_;
  move_table(former);
  table_moved_ = moved_before;
}

void Refcounts::collect(WriteOrder& order) {
  writing_moved_table_ = std::exchange(table_moved_, false);
  table_.collect(order, writing_moved_table_ ? Step::Prepare : Step::Point);
  if (writing_moved_table_) {
    std::array<std::byte, 12> pointer{};
    store_be(std::span(pointer), 0, table_at_.value());
    store_be(std::span(pointer), 8, table_cluster_count_);
    order.add(Step::Point, field::kRefcountTable, pointer);
  }
  cache_.collect(order);
}

void Refcounts::written() {
  table_.written();
  cache_.written();
  writing_moved_table_ = false;
}

void Refcounts::failed() {
  table_.failed();
  cache_.failed();
  table_moved_ |= std::exchange(writing_moved_table_, false);
}

std::vector<ClusterRun> Refcounts::own_clusters() const {
  std::vector<ClusterRun> runs{table_clusters()};
  for (std::uint64_t block = 0; block < table_.size(); ++block) {
    if (table_.load(block) != 0) runs.push_back({block_at(block) / layout_.cluster(), 1});
  }
  return runs;
}

}  // namespace flatimg::qcow2
