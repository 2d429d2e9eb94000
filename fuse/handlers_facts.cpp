// Requests on what .flatimg/NAME/ tells of the disk: texts, partitions, snapshots. Nothing can be changed there but the
// bytes of partitions.
//
// A handle owns what it shows as it was when it was opened, so that one reader never sees two states mixed.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "base/text.h"
#include "fuse/disk_replies.h"
#include "fuse/facts.h"
#include "fuse/handlers.h"
#include "fuse/image_folder.h"
#include "fuse/map_text.h"

namespace flatimg::flat::handlers {

namespace {

using tree::Fact;
using tree::FactKind;
using tree::FactNodes;
using tree::FactPtr;

bool wants_to_write(const fuse_file_info& handle) { return (handle.flags & O_ACCMODE) != O_RDONLY; }

FactHandle& fact_handle_of(const fuse_file_info& handle) { return *reinterpret_cast<FactHandle*>(handle.fh); }

Fact fact(FactKind kind) { return {0, kind, nullptr, {}, 0, {}}; }

/// What a name stands for; NotFound.
Result<Fact> meaning_of_snapshot(const Exported& exported, std::string_view name) {
  TRY(const ImageInfo info, exported.look.describe());
  for (const SnapshotName& one : names_of(info.snapshots)) {
    if (one.name == name) return Fact{0, FactKind::Snapshot, nullptr, one.id, 0, {}};
  }
  return fail(ErrorKind::NotFound, "no snapshot {}", shown(name));
}

Result<Fact> meaning_in_image(const Exported& exported, std::string_view name) {
  if (name == "map.json") return fact(FactKind::Map);
  if (name == kSnapshotsFolder) return fact(FactKind::Snapshots);
  if (may_name_a_partition(name)) {
    TRY(const partitions::Table table, partitions::read_table(exported.disk));
    const partitions::Partition* const found = find_named(table, name);
    if (found != nullptr) return Fact{0, FactKind::Part, nullptr, {}, found->number, found->where};
  }
  return fail(ErrorKind::NotFound, "no file {}", shown(name));
}

/// A partition that is no longer where it was is another file.
Result<void> must_be_there(const Exported& exported, const Fact& part) {
  TRY(const partitions::Table table, partitions::read_table(exported.disk));
  const auto found = std::ranges::find(table.partitions, part.part, &partitions::Partition::number);
  if (found != table.partitions.end() && found->where == part.where) return {};
  return fail(ErrorKind::NotFound, "partition {} is no longer there", part.part);
}

Result<struct stat> stat_of_fact(const Exported& exported, const Fact& fact) {
  struct stat result = exported.attributes.fact(ByteCount(0));
  if (fact.kind == FactKind::Snapshots) result = exported.attributes.directory(2);
  if (fact.kind == FactKind::Part) {
    CHECK(must_be_there(exported, fact));
    result = exported.attributes.flat_file(fact.where.length, std::min(fact.where.length, exported.disk.data_bytes()));
  }
  if (fact.kind == FactKind::Snapshot) {
    TRY(const auto disk, exported.look.open_snapshot(fact.snapshot_id));
    result = exported.attributes.fact(disk->size());
    result.st_blocks = static_cast<blkcnt_t>((disk->size().value() + 511) / 512);
    CHECK(disk->close());
  }
  result.st_ino = shown_inode(fact);
  return result;
}

Result<FactPtr> fact_at(const Exported& exported, fuse_ino_t number) {
  FactPtr found = exported.facts.find(number);
  if (found == nullptr) return fail(ErrorKind::NotFound, "no such file");
  return found;
}

/// Errors of opening what an image contains: people look for the reason in the log.
void reply_refused(fuse_req_t request, const Error& error) {
  if (error.kind != ErrorKind::NotFound) log(LogLevel::Warning, "{}", error.text);
  mount_of(request).counters.add_error();
  fuse_reply_err(request, error.kind == ErrorKind::Denied ? EACCES : errno_of(error));
}

std::vector<FolderItem> items_of_image(const Exported& exported) {
  std::vector<FolderItem> items;
  for (const Names::Listed& one : exported.names.list(Node::ImageFacts)) {
    items.push_back({one.name, Names::is_directory(one.node) ? mode_t{S_IFDIR} : mode_t{S_IFREG}});
  }
  items.push_back({"map.json", S_IFREG});
  items.push_back({std::string(kSnapshotsFolder), S_IFDIR});
  if (const auto table = partitions::read_table(exported.disk)) add_items(items, *table);
  return items;
}

Result<std::vector<FolderItem>> items_of_snapshots(const Exported& exported) {
  std::vector<FolderItem> items{{".", S_IFDIR}, {"..", S_IFDIR}};
  TRY(const ImageInfo info, exported.look.describe());
  for (SnapshotName& one : names_of(info.snapshots)) items.push_back({std::move(one.name), S_IFREG});
  return items;
}

Result<std::unique_ptr<FactHandle>> open_part(Exported& exported, const Fact& fact, const fuse_file_info& info) {
  auto handle = std::make_unique<FactHandle>(exported);
  handle->part = WriteClaim{fact.part, fact.where};
  if (wants_to_write(info)) {
    CHECK(exported.disk.accepts_writers());
    CHECK(exported.claims.add(*handle->part));
    handle->claimed = true;
  }
  CHECK(must_be_there(exported, fact));
  return handle;
}

Result<std::unique_ptr<FactHandle>> open_snapshot(Exported& exported, const Fact& fact) {
  auto handle = std::make_unique<FactHandle>(exported);
  CHECK(exported.snapshot_readers.add());
  handle->reads_snapshot = true;
  TRY(handle->snapshot, exported.look.open_snapshot(fact.snapshot_id));
  return handle;
}

Result<std::unique_ptr<FactHandle>> open_handle(Exported& exported, const Fact& fact, const fuse_file_info& info) {
  if (fact.kind == FactKind::Part) return open_part(exported, fact, info);
  if (wants_to_write(info)) return fail(ErrorKind::Denied, "nothing can be changed there");
  if (fact.kind == FactKind::Snapshot) return open_snapshot(exported, fact);
  auto handle = std::make_unique<FactHandle>(exported);
  TRY(handle->text, map_as_json(exported.disk));
  return handle;
}

void reply_handle(fuse_req_t request, std::unique_ptr<FactHandle> opened, fuse_file_info* info) {
  Exported& exported = exported_by(request);
  info->fh = reinterpret_cast<std::uint64_t>(opened.get());
  ++exported.open_files;
  if (fuse_reply_open(request, info) != -ENOENT) return void(opened.release());
  --exported.open_files;
}

PageDropper::Pages pages_of_whole(const Exported& exported, const FactHandle& handle, off_t from, std::size_t size) {
  return {exported.names.number_of(Node::Flat), static_cast<off_t>(handle.part->where.begin.value()) + from,
          static_cast<off_t>(std::max<std::size_t>(size, 1))};
}

DiskPart part_of(Exported& exported, const FactHandle& handle) { return {exported.disk, handle.part->where}; }

/// What the kernel has not written back of the whole disk comes first.
void read_part(fuse_req_t request, const FactHandle& handle, std::size_t size, off_t from) {
  Exported& exported = exported_by(request);
  const auto answer = [request, &exported, &handle, size, from] {
    reply_read(request, part_of(exported, handle), size, from);
  };
  if (!exported.claims.whole_is_written()) return answer();
  exported.page_dropper.drop(pages_of_whole(exported, handle, from, size), answer);
}

}  // namespace

bool is_fact(const Exported& exported, fuse_ino_t number) {
  return FactNodes::has(number) || exported.names.find(number) == Node::ImageFacts;
}

void lookup_fact(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Exported& exported = exported_by(request);
  const bool in_image = !FactNodes::has(parent);
  auto found = in_image ? meaning_in_image(exported, name) : meaning_of_snapshot(exported, name);
  if (!found) return reply_refused(request, found.error());
  const FactPtr fact = exported.facts.enter(*std::move(found));
  const auto status = stat_of_fact(exported, *fact);
  fuse_entry_param entry{};
  entry.ino = fact->number;
  if (status) entry.attr = *status;
  const bool told_kernel = status && fuse_reply_entry(request, &entry) != -ENOENT;
  if (!told_kernel) exported.facts.forget(fact->number, 1);
  if (!status) reply_refused(request, status.error());
}

void getattr_fact(fuse_req_t request, fuse_ino_t number) {
  Exported& exported = exported_by(request);
  const auto fact = fact_at(exported, number);
  if (!fact) return void(fuse_reply_err(request, ESTALE));
  const auto status = stat_of_fact(exported, **fact);
  if (!status) return void(fuse_reply_err(request, ESTALE));
  fuse_reply_attr(request, &*status, 0);
}

// O_TRUNC and truncate(PATH, 0) are ignored, as with the whole disk; times are those of the disk, which writing sets.
void setattr_fact(fuse_req_t request, fuse_ino_t number, const struct stat& wanted, int which) {
  constexpr int kOthers = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
  Exported& exported = exported_by(request);
  const auto fact = fact_at(exported, number);
  if (!fact) return void(fuse_reply_err(request, ESTALE));
  const auto status = stat_of_fact(exported, **fact);
  if (!status) return void(fuse_reply_err(request, ESTALE));
  const bool resizes = (which & FUSE_SET_ATTR_SIZE) != 0 && wanted.st_size != 0 && wanted.st_size != status->st_size;
  if ((*fact)->kind != FactKind::Part || (which & kOthers) != 0 || resizes) return void(fuse_reply_err(request, EPERM));
  fuse_reply_attr(request, &*status, 0);
}

void open_fact(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  Exported& exported = exported_by(request);
  const auto fact = fact_at(exported, number);
  if (!fact) return void(fuse_reply_err(request, ESTALE));
  auto handle = open_handle(exported, **fact, *info);
  if (!handle && handle.error().kind == ErrorKind::NotFound) return void(fuse_reply_err(request, ESTALE));
  if (!handle) return reply_refused(request, handle.error());
  info->direct_io = (*fact)->kind != FactKind::Snapshot;  // a snapshot never changes
  reply_handle(request, *std::move(handle), info);
}

void open_fact_folder(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  Exported& exported = exported_by(request);
  auto items = FactNodes::has(number) ? items_of_snapshots(exported) : items_of_image(exported);
  if (!items) return reply_refused(request, items.error());
  auto handle = std::make_unique<FactHandle>(exported);
  handle->items = *std::move(items);
  reply_handle(request, std::move(handle), info);
}

void list_fact_folder(fuse_req_t request, std::size_t room, off_t from, const fuse_file_info& info, Listing form) {
  reply_items(request, fact_handle_of(info).items, room, from, form);
}

void release_fact(fuse_req_t request, fuse_file_info* info) {
  delete &fact_handle_of(*info);
  --exported_by(request).open_files;
  fuse_reply_err(request, 0);
}

void read_fact(fuse_req_t request, std::size_t size, off_t from, const fuse_file_info& info) {
  const FactHandle& handle = fact_handle_of(info);
  if (handle.part) return read_part(request, handle, size, from);
  if (handle.snapshot) return reply_read(request, *handle.snapshot, size, from);
  reply_text(request, handle.text, size, from);
}

void write_fact(fuse_req_t request, std::span<const std::byte> bytes, off_t to, const fuse_file_info& info) {
  Exported& exported = exported_by(request);
  const FactHandle& handle = fact_handle_of(info);
  if (!handle.claimed) return void(fuse_reply_err(request, EBADF));
  const auto written = write_to(part_of(exported, handle), bytes, to);
  if (!written) return reply_error(request, written.error());
  exported.attributes.touch();
  exported.counters.add_written(*written);
  exported.page_dropper.drop(pages_of_whole(exported, handle, to, *written),
                             [request, written = *written] { fuse_reply_write(request, written); });
}

void lseek_fact(fuse_req_t request, off_t from, int whence, const fuse_file_info& info) {
  const FactHandle& handle = fact_handle_of(info);
  if (handle.part) return reply_seek(request, part_of(exported_by(request), handle), from, whence);
  if (handle.snapshot) return reply_seek(request, *handle.snapshot, from, whence);
  fuse_reply_err(request, EINVAL);
}

void fallocate_fact(fuse_req_t request, int mode, off_t from, off_t size, const fuse_file_info& info) {
  Exported& exported = exported_by(request);
  const FactHandle& handle = fact_handle_of(info);
  if (!handle.claimed) return void(fuse_reply_err(request, EBADF));
  if (const auto done = allocate_or_free(part_of(exported, handle), mode, from, size); !done) {
    return reply_error(request, done.error());
  }
  exported.attributes.touch();
  exported.page_dropper.drop(pages_of_whole(exported, handle, from, static_cast<std::size_t>(size)),
                             [request] { fuse_reply_err(request, 0); });
}

void fsync_fact(fuse_req_t request, const fuse_file_info& info) {
  if (!fact_handle_of(info).part) return void(fuse_reply_err(request, 0));
  reply_done(request, exported_by(request).disk.flush());
}

}  // namespace flatimg::flat::handlers
