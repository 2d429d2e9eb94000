// Requests that read directories. They are read from the host each time: whatever was made, removed or renamed
// underneath appears.
//
// Plain listings look at no file (unless a suffix depends on it). Those with attributes read the header of each file
// that has not been looked at since it changed, and open no image.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "fuse/tree/caller.h"
#include "fuse/tree/handlers.h"

namespace flatimg::flat::tree::handlers {

namespace {

Passed<DIR*> open_directory(fuse_req_t request, const Node& node) {
  const ActingAs caller(request);
  PASS(Descriptor opened, open_name(node.directory, ".", O_RDONLY | O_DIRECTORY));
  DIR* const directory = ::fdopendir(opened.get());
  if (directory == nullptr) return refused(errno);
  (void)opened.release();
  return directory;
}

/// A name as the host has it.
struct Entry {
  std::string name;
  std::uint64_t inode = 0;
  unsigned char type = DT_UNKNOWN;
  off_t next = 0;  // where the one behind it begins
};

bool is_dots(std::string_view name) { return name == "." || name == ".."; }

/// The buffer of an answer, and who asked.
struct Answer {
  fuse_req_t request;
  std::vector<char> buffer;
  std::size_t filled = 0;

  [[nodiscard]] std::span<char> rest() { return std::span(buffer).subspan(filled); }
  /// False when there was no room for it.
  bool took(std::size_t bytes) {
    if (bytes > buffer.size() - filled) return false;
    filled += bytes;
    return true;
  }
};

/// Adds one entry; false when there is no room for it. One that has gone meanwhile is passed over.
using AddEntry = bool (*)(Answer& listing, const NodePtr& directory, const Entry& entry);

bool add_name(Answer& listing, const std::string& name, const Entry& entry, std::uint64_t device) {
  struct stat kind {};
  kind.st_ino = tree_of(listing.request).inode_numbers.shown(device, entry.inode);
  kind.st_mode = static_cast<mode_t>(DTTOIF(entry.type));
  const std::span<char> rest = listing.rest();
  return listing.took(fuse_add_direntry(listing.request, rest.data(), rest.size(), name.c_str(), &kind, entry.next));
}

bool add_plain(Answer& listing, const NodePtr& directory, const Entry& entry) {
  Tree& tree = tree_of(listing.request);
  const bool may_have_suffix = entry.type == DT_REG || entry.type == DT_UNKNOWN;
  if (tree.options.suffix.empty() || !may_have_suffix || is_dots(entry.name)) {
    return add_name(listing, entry.name, entry, directory->key.device);
  }
  const auto listed = as_listed(tree, *directory, entry.name);
  return !listed || add_name(listing, listed->shown_name, entry, directory->key.device);
}

bool add_with_attributes(Answer& listing, const NodePtr& directory, const Entry& entry) {
  Tree& tree = tree_of(listing.request);
  const std::span<char> rest = listing.rest();
  if (is_dots(entry.name)) {
    fuse_entry_param dots{};  // inode 0: not a lookup
    dots.attr.st_ino = entry.inode;
    dots.attr.st_mode = S_IFDIR;
    return listing.took(
        fuse_add_direntry_plus(listing.request, rest.data(), rest.size(), entry.name.c_str(), &dots, entry.next));
  }
  const auto listed = as_listed(tree, *directory, entry.name);
  if (!listed) return listed.error() == ENOENT || add_name(listing, entry.name, entry, directory->key.device);
  const auto node = enter(tree, directory, listed->located);
  if (!node) return true;
  const fuse_entry_param shown = entry_of(tree, **node, listed->located);
  const bool taken = listing.took(fuse_add_direntry_plus(listing.request, rest.data(), rest.size(),
                                                         listed->shown_name.c_str(), &shown, entry.next));
  if (!taken) tree.nodes.forget((*node)->number, 1);
  return taken;
}

/// The next entries, about as many as an answer of this size can hold. What does not fit is read again.
Passed<std::vector<Entry>> next_entries(ListHandle& handle, off_t from, std::size_t room) {
  constexpr std::size_t kSmallest = 32;  // bytes of an entry in the answer
  std::vector<Entry> entries;
  const MutexLock lock(handle.mutex);
  if (from != handle.position) ::seekdir(handle.directory.get(), from);
  handle.position = from;
  while (entries.size() < room / kSmallest) {
    errno = 0;
    const dirent* const entry = ::readdir(handle.directory.get());
    if (entry == nullptr && errno != 0 && entries.empty()) return refused(errno);
    if (entry == nullptr) break;
    handle.position = entry->d_off;
    entries.push_back({entry->d_name, entry->d_ino, entry->d_type, entry->d_off});
  }
  return entries;
}

void add_all(Answer& listing, const ListHandle& handle, const std::vector<Entry>& entries, AddEntry add) {
  for (const Entry& entry : entries) {
    const bool hidden = handle.node->number == Nodes::kRoot && entry.name == kFactsName;
    if (!hidden && !add(listing, handle.node, entry)) return;
  }
}

/// An empty answer says that this was all, so entries that have gone meanwhile are no answer.
void list(fuse_req_t request, std::size_t room, off_t from, const fuse_file_info& info, Listing form) {
  auto* const handle = std::get_if<ListHandle>(&handle_of(info));
  if (handle == nullptr) return list_facts(request, room, from, info, form);
  const AddEntry add = form == Listing::Names ? add_plain : add_with_attributes;
  Answer listing{request, std::vector<char>(room)};
  for (auto entries = next_entries(*handle, from, room);; entries = next_entries(*handle, from, room)) {
    if (!entries) return reply_errno(request, entries.error());
    add_all(listing, *handle, *entries, add);
    if (entries->empty() || listing.filled > 0) break;
    from = entries->back().next;
  }
  fuse_reply_buf(request, listing.buffer.data(), listing.filled);
}

}  // namespace

void opendir(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  if (FactNodes::has(number)) return open_fact_folder(request, number, info);
  const auto node = node_at(request, number);
  if (!node) return reply_errno(request, node.error());
  const auto directory = open_directory(request, **node);
  if (!directory) return reply_errno(request, directory.error());
  auto handle = std::make_unique<Handle>(std::in_place_type<ListHandle>, *node, *directory);
  info->fh = number_for(*handle);
  ++tree_of(request).open_files;
  if (fuse_reply_open(request, info) == -ENOENT) {
    --tree_of(request).open_files;
  } else {
    (void)handle.release();
  }
}

void readdir(fuse_req_t request, fuse_ino_t /*number*/, std::size_t room, off_t from, fuse_file_info* info) {
  list(request, room, from, *info, Listing::Names);
}

void readdirplus(fuse_req_t request, fuse_ino_t /*number*/, std::size_t room, off_t from, fuse_file_info* info) {
  list(request, room, from, *info, Listing::WithAttributes);
}

void releasedir(fuse_req_t request, fuse_ino_t /*number*/, fuse_file_info* info) {
  delete &handle_of(*info);
  --tree_of(request).open_files;
  fuse_reply_err(request, 0);
}

// Of SOURCE: everything that is open is flushed, too. The end of the mount asks for it in this way.
void fsyncdir(fuse_req_t request, fuse_ino_t number, int /*data_only*/, fuse_file_info* info) {
  const auto* const handle = std::get_if<ListHandle>(&handle_of(*info));
  if (handle == nullptr) return void(fuse_reply_err(request, 0));
  if (::fsync(::dirfd(handle->directory.get())) != 0 && errno != EINVAL) return reply_errno(request, errno);
  if (number != Nodes::kRoot) return void(fuse_reply_err(request, 0));
  reply_done(request, tree_of(request).images.flush_all());
}

}  // namespace flatimg::flat::tree::handlers
