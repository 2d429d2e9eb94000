// Requests on what is beneath .flatimg/. Nothing can be changed there but the bytes of partitions.
//
// Texts are made when they are opened, so that one reader never sees two states mixed; like the files of /proc some of
// them have no size before.
#include <fcntl.h>

#include <cerrno>

#include "base/log.h"
#include "fuse/folder_replies.h"
#include "fuse/tree/facts.h"
#include "fuse/tree/handlers.h"
#include "fuse/tree/opening.h"

namespace flatimg::flat::tree::handlers {

namespace {

struct TextName {
  std::string_view name;
  FactKind kind;
};
constexpr std::array<TextName, 3> kTexts{
    {{"info.json", FactKind::Info}, {"map.json", FactKind::Map}, {"stats.json", FactKind::Stats}}};

/// What a name stands for: a fact that has no number yet.
Fact meaning(FactKind kind, NodePtr of) { return {0, kind, std::move(of), {}, 0, {}}; }

/// The node of a file, which the kernel need not know.
Passed<NodePtr> hold(Tree& tree, const NodePtr& directory, const Located& located) {
  PASS(NodePtr node, enter(tree, directory, located));
  tree.nodes.forget(node->number, 1);
  return node;
}

bool is_image(const Located& located) { return located.kind.kind == KnownKind::Kind::Image; }

Passed<Fact> meaning_in_folder(Tree& tree, const NodePtr& directory, const std::string& name) {
  PASS(const Located located, locate(tree, *directory, name));
  const bool folder = S_ISDIR(located.seen.status.st_mode);
  if (!folder && !is_image(located)) return refused(ENOENT);
  PASS(NodePtr node, hold(tree, directory, located));
  return meaning(folder ? FactKind::Folder : FactKind::Image, std::move(node));
}

Passed<Fact> meaning_of_snapshot(Tree& tree, const NodePtr& image, std::string_view name) {
  const auto snapshots = snapshots_of(tree, image);
  if (!snapshots) return refused(errno_of_opening(snapshots.error()));
  for (const SnapshotName& snapshot : *snapshots) {
    if (snapshot.name == name) return Fact{0, FactKind::Snapshot, image, snapshot.id, 0, {}};
  }
  return refused(ENOENT);
}

/// Whatever begins like one asks for the table.
Passed<Fact> meaning_of_part(Tree& tree, const NodePtr& image, const std::string& name) {
  if (!may_name_a_partition(name)) return refused(ENOENT);
  const auto table = table_of(tree, image);
  if (!table) return refused(errno_of_opening(table.error()));
  const partitions::Partition* const found = find_named(*table, name);
  if (found == nullptr) return refused(ENOENT);
  return Fact{0, FactKind::Part, image, {}, found->number, {}};
}

Passed<Fact> meaning_in(Tree& tree, const Fact& folder, const std::string& name) {
  if (folder.kind == FactKind::Folder) return meaning_in_folder(tree, folder.of, name);
  if (folder.kind == FactKind::Snapshots) return meaning_of_snapshot(tree, folder.of, name);
  if (folder.kind != FactKind::Image) return refused(ENOTDIR);
  if (name == kSnapshotsFolder) return meaning(FactKind::Snapshots, folder.of);
  for (const TextName& text : kTexts) {
    if (text.name == name) return meaning(text.kind, folder.of);
  }
  return meaning_of_part(tree, folder.of, name);
}

Result<std::string> text_of(Tree& tree, const Fact& fact) {
  if (fact.kind == FactKind::Info) return info_json(tree, fact.of);
  if (fact.kind == FactKind::Map) return map_json(tree, fact.of);
  return stats_json(tree, fact.of);
}

Passed<off_t> size_of_part(Tree& tree, const Fact& fact) {
  const auto table = table_of(tree, fact.of);
  if (!table) return refused(errno_of_opening(table.error()));
  const auto found = std::ranges::find(table->partitions, fact.part, &partitions::Partition::number);
  if (found == table->partitions.end()) return refused(ESTALE);
  return static_cast<off_t>(found->where.length.value());
}

/// Opening it tells, for there is no field for it that could be trusted without.
Passed<off_t> size_of(Tree& tree, const Fact& fact) {
  if (fact.kind == FactKind::Part) return size_of_part(tree, fact);
  if (fact.kind != FactKind::Snapshot) return 0;
  const auto opened = OpenSnapshot::open(tree, fact.of, fact.snapshot_id);
  if (!opened) return refused(errno_of_opening(opened.error()));
  return static_cast<off_t>((*opened)->disk().size().value());
}

mode_t mode_of(const Fact& fact, mode_t mode) {
  if (fact.kind == FactKind::Part) return S_IFREG | (mode & 0666);
  if (!fact.is_folder()) return S_IFREG | (mode & 0444);
  return S_IFDIR | (mode & 0444) | (mode & 0444) >> 2;  // whoever may read may enter
}

Passed<struct stat> stat_of(Tree& tree, const Fact& fact) {
  PASS(const Located located, look(tree, *fact.of));
  PASS(const off_t size, size_of(tree, fact));
  struct stat status = told(tree, located, fact.of->shown_as).status;
  status.st_mode = mode_of(fact, status.st_mode);
  status.st_ino = shown_inode(fact);
  status.st_nlink = fact.is_folder() ? 2 : 1;
  status.st_size = size;
  const blkcnt_t blocks = (size + 511) / 512;
  status.st_blocks = fact.kind == FactKind::Part ? std::min(status.st_blocks, blocks) : blocks;
  return status;
}

Passed<FactPtr> fact_at(fuse_req_t request, fuse_ino_t number) {
  FactPtr fact = tree_of(request).facts.find(number);
  if (fact == nullptr) return refused(ESTALE);
  return fact;
}

Passed<Fact> meaning_of(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Tree& tree = tree_of(request);
  if (!FactNodes::has(parent)) return meaning(FactKind::Folder, tree.nodes.root());
  PASS(const FactPtr folder, fact_at(request, parent));
  return meaning_in(tree, *folder, name);
}

using Item = FolderItem;

/// The sub-directories and images of a directory.
Passed<std::vector<Item>> items_of_folder(Tree& tree, const Node& directory) {
  PASS(Descriptor opened, open_name(directory.directory, ".", O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, ListHandle::Close> names(::fdopendir(opened.get()));
  if (names == nullptr) return refused(errno);
  (void)opened.release();
  std::vector<Item> items;
  while (const dirent* const entry = ::readdir(names.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || (directory.number == Nodes::kRoot && name == kFactsName)) continue;
    const auto listed = as_listed(tree, directory, name);
    const bool shown = listed && (S_ISDIR(listed->located.seen.status.st_mode) || is_image(listed->located));
    if (shown) items.push_back({listed->shown_name, S_IFDIR});
  }
  return items;
}

/// Without partitions where the disk cannot be read now: the rest can still be told.
std::vector<Item> items_of_image(Tree& tree, const NodePtr& image) {
  std::vector<Item> items;
  for (const TextName& text : kTexts) items.push_back({std::string(text.name), S_IFREG});
  items.push_back({std::string(kSnapshotsFolder), S_IFDIR});
  if (const auto table = table_of(tree, image)) add_items(items, *table);
  return items;
}

Passed<std::vector<Item>> items_of(Tree& tree, const Fact& folder) {
  if (folder.kind == FactKind::Folder) return items_of_folder(tree, *folder.of);
  if (folder.kind == FactKind::Image) return items_of_image(tree, folder.of);
  std::vector<Item> items;
  const auto snapshots = snapshots_of(tree, folder.of);
  if (!snapshots) return refused(errno_of_opening(snapshots.error()));
  for (const SnapshotName& snapshot : *snapshots) items.push_back({snapshot.name, S_IFREG});
  return items;
}

/// Written through and never kept by the kernel, which knows nothing of what the whole disk has to do with it.
Passed<std::unique_ptr<Handle>> open_part(fuse_req_t request, const Fact& fact, fuse_file_info* info) {
  Tree& tree = tree_of(request);
  const Access access = (info->flags & O_ACCMODE) == O_RDONLY ? Access::ReadOnly : Access::ReadWrite;
  PASS(const auto pinned, pin(tree, *fact.of));
  if (const int failed = refusal_of_caller(request, *pinned, access)) return refused(failed);
  auto part = OpenPart::open(tree, fact.of, fact.part, access);
  if (!part) {
    log_refused_image(source_path(tree, *fact.of), part.error());
    return refused(errno_of_opening(part.error()));
  }
  info->direct_io = 1;
  return std::make_unique<Handle>(PartHandle{*std::move(part)});
}

Passed<std::unique_ptr<Handle>> open_text_or_snapshot(Tree& tree, const Fact& fact, fuse_file_info* info) {
  if ((info->flags & O_ACCMODE) != O_RDONLY) return refused(EACCES);
  if (fact.kind == FactKind::Snapshot) {
    auto snapshot = OpenSnapshot::open(tree, fact.of, fact.snapshot_id);
    if (!snapshot) return refused(errno_of_opening(snapshot.error()));
    return std::make_unique<Handle>(SnapshotHandle{*std::move(snapshot)});
  }
  auto text = text_of(tree, fact);
  if (!text) {
    log(LogLevel::Warning, "{}", text.error().text);
    return refused(errno_of_opening(text.error()));
  }
  info->direct_io = 1;  // the size is not known before
  return std::make_unique<Handle>(TextHandle{*std::move(text)});
}

void reply_handle(fuse_req_t request, Passed<std::unique_ptr<Handle>> opened, fuse_file_info* info) {
  if (!opened) return reply_errno(request, opened.error());
  info->fh = number_for(**opened);
  ++mount_of(request).open_files;
  if (fuse_reply_open(request, info) != -ENOENT) return void(opened->release());
  --mount_of(request).open_files;
}

}  // namespace

void lookup_fact(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Tree& tree = tree_of(request);
  const auto meaning = meaning_of(request, parent, name);
  if (!meaning) return void(fuse_reply_err(request, meaning.error()));
  const FactPtr fact = tree.facts.enter(*meaning);
  const auto status = stat_of(tree, *fact);
  fuse_entry_param entry{};
  entry.ino = fact->number;
  if (status) entry.attr = *status;
  const bool told_kernel = status && fuse_reply_entry(request, &entry) != -ENOENT;
  if (!told_kernel) tree.facts.forget(fact->number, 1);
  if (!status) reply_errno(request, status.error());
}

void getattr_fact(fuse_req_t request, fuse_ino_t number) {
  const auto fact = fact_at(request, number);
  if (!fact) return reply_errno(request, fact.error());
  const auto status = stat_of(tree_of(request), **fact);
  if (!status) return reply_errno(request, status.error());
  fuse_reply_attr(request, &*status, 0);
}

// Of a partition: O_TRUNC and truncate(PATH, 0) are ignored and the size is fixed, as with the whole disk; times are
// those of the image, which writing sets.
void setattr_fact(fuse_req_t request, fuse_ino_t number, const struct stat& wanted, int which) {
  constexpr int kTimes = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW |
                         FUSE_SET_ATTR_CTIME;
  const auto fact = fact_at(request, number);
  if (!fact) return reply_errno(request, fact.error());
  const auto status = stat_of(tree_of(request), **fact);
  if (!status) return reply_errno(request, status.error());
  const bool sizes = (which & FUSE_SET_ATTR_SIZE) != 0;
  const bool same = wanted.st_size == 0 || wanted.st_size == status->st_size;
  const bool more = (which & ~(kTimes | FUSE_SET_ATTR_SIZE)) != 0;
  if ((*fact)->kind != FactKind::Part || more || (sizes && !same)) return reply_errno(request, EPERM);
  fuse_reply_attr(request, &*status, 0);
}

void open_fact(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  const auto fact = fact_at(request, number);
  if (!fact) return reply_errno(request, fact.error());
  if ((*fact)->kind == FactKind::Part) return reply_handle(request, open_part(request, **fact, info), info);
  reply_handle(request, open_text_or_snapshot(tree_of(request), **fact, info), info);
}

void open_fact_folder(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  const auto fact = fact_at(request, number);
  if (!fact) return reply_errno(request, fact.error());
  auto items = items_of(tree_of(request), **fact);
  if (!items) return reply_errno(request, items.error());
  items->insert(items->begin(), {{".", S_IFDIR}, {"..", S_IFDIR}});
  reply_handle(request, std::make_unique<Handle>(FolderHandle{*std::move(items)}), info);
}

void list_facts(fuse_req_t request, std::size_t room, off_t from, const fuse_file_info& info, Listing form) {
  const auto* const folder = std::get_if<FolderHandle>(&handle_of(info));
  if (folder == nullptr) return reply_errno(request, EBADF);
  reply_items(request, folder->items, room, from, form);
}

}  // namespace flatimg::flat::tree::handlers
