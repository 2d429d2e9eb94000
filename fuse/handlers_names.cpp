// Requests about names: lookup and the listing of directories.
#include <cerrno>

#include "fuse/handlers.h"

namespace flatimg::flat::handlers {

namespace {

fuse_entry_param entry_of(Exported& exported, Node node) {
  fuse_entry_param entry{};
  entry.ino = exported.names.number_of(node);
  entry.attr = stat_to_keep(exported, node);
  entry.attr_timeout = kAttributesValid;
  entry.entry_timeout = kNamesValid;
  return entry;
}

/// Adds one name to the buffer of a listing; returns what it takes, which may be more than there is room for.
using AddName = std::size_t (*)(fuse_req_t request, std::span<char> room, const Names::Listed& listed, off_t next);

std::size_t add_plain(fuse_req_t request, std::span<char> room, const Names::Listed& listed, off_t next) {
  const Exported& exported = exported_by(request);
  struct stat kind {};
  kind.st_ino = exported.names.number_of(listed.node);
  kind.st_mode = Names::is_directory(listed.node) ? S_IFDIR : S_IFREG;
  return fuse_add_direntry(request, room.data(), room.size(), listed.name.c_str(), &kind, next);
}

std::size_t add_with_attributes(fuse_req_t request, std::span<char> room, const Names::Listed& listed, off_t next) {
  fuse_entry_param entry = entry_of(exported_by(request), listed.node);
  if (listed.name == "." || listed.name == "..") entry.ino = 0;  // not a lookup
  return fuse_add_direntry_plus(request, room.data(), room.size(), listed.name.c_str(), &entry, next);
}

void list(fuse_req_t request, fuse_ino_t number, std::size_t room, off_t from, AddName add) {
  const Exported& exported = exported_by(request);
  const auto node = exported.names.find(number);
  if (!node || from < 0) return void(fuse_reply_err(request, node ? EINVAL : ESTALE));
  const std::vector<Names::Listed> listed = exported.names.list(*node);
  std::vector<char> buffer(room);
  std::size_t filled = 0;
  for (auto at = static_cast<std::size_t>(from); at < listed.size(); ++at) {
    const std::span<char> rest = std::span(buffer).subspan(filled);
    const std::size_t taken = add(request, rest, listed[at], static_cast<off_t>(at + 1));
    if (taken > rest.size()) break;
    filled += taken;
  }
  fuse_reply_buf(request, buffer.data(), filled);
}

}  // namespace

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Exported& exported = exported_by(request);
  if (tree::FactNodes::has(parent)) return lookup_fact(request, parent, name);
  const auto directory = exported.names.find(parent);
  if (!directory) return void(fuse_reply_err(request, ESTALE));
  const auto node = exported.names.lookup(*directory, name);
  if (!node && *directory == Node::ImageFacts) return lookup_fact(request, parent, name);
  if (!node) {
    fuse_entry_param absent{};  // inode 0: the kernel remembers that there is nothing
    absent.entry_timeout = kNamesValid;
    return void(fuse_reply_entry(request, &absent));
  }
  const fuse_entry_param entry = entry_of(exported, *node);
  fuse_reply_entry(request, &entry);
}

// The nodes of names.h live as long as the mount: there is nothing to forget.
void forget(fuse_req_t request, fuse_ino_t number, std::uint64_t lookups) {
  fuse_forget_data one{number, lookups};
  forget_multi(request, 1, &one);
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgotten) {
  for (const fuse_forget_data& one : std::span(forgotten, count)) {
    if (tree::FactNodes::has(one.ino)) exported_by(request).facts.forget(one.ino, one.nlookup);
  }
  fuse_reply_none(request);
}

void opendir(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle) {
  if (is_fact(exported_by(request), number)) return open_fact_folder(request, number, handle);
  if (!exported_by(request).names.find(number)) return void(fuse_reply_err(request, ESTALE));
  handle->cache_readdir = 1;
  handle->keep_cache = 1;
  fuse_reply_open(request, handle);
}

void readdir(fuse_req_t request, fuse_ino_t number, std::size_t room, off_t from, fuse_file_info* handle) {
  if (is_fact(exported_by(request), number)) return list_fact_folder(request, room, from, *handle, Listing::Names);
  list(request, number, room, from, add_plain);
}

void readdirplus(fuse_req_t request, fuse_ino_t number, std::size_t room, off_t from, fuse_file_info* handle) {
  if (is_fact(exported_by(request), number)) {
    return list_fact_folder(request, room, from, *handle, Listing::WithAttributes);
  }
  list(request, number, room, from, add_with_attributes);
}

void releasedir(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle) {
  if (is_fact(exported_by(request), number)) return release_fact(request, handle);
  fuse_reply_err(request, 0);
}

void fsyncdir(fuse_req_t request, fuse_ino_t /*number*/, int /*data_only*/, fuse_file_info* /*handle*/) {
  fuse_reply_err(request, 0);
}

// Not left out of the table of operations: programs expect EPERM here, and ENOSYS surprises people.
void mknod(fuse_req_t request, fuse_ino_t, const char*, mode_t, dev_t) { fuse_reply_err(request, EPERM); }
void mkdir(fuse_req_t request, fuse_ino_t, const char*, mode_t) { fuse_reply_err(request, EPERM); }
void unlink(fuse_req_t request, fuse_ino_t, const char*) { fuse_reply_err(request, EPERM); }
void rmdir(fuse_req_t request, fuse_ino_t, const char*) { fuse_reply_err(request, EPERM); }
void symlink(fuse_req_t request, const char*, fuse_ino_t, const char*) { fuse_reply_err(request, EPERM); }
void rename(fuse_req_t request, fuse_ino_t, const char*, fuse_ino_t, const char*, unsigned) {
  fuse_reply_err(request, EPERM);
}
void link(fuse_req_t request, fuse_ino_t, fuse_ino_t, const char*) { fuse_reply_err(request, EPERM); }
void create(fuse_req_t request, fuse_ino_t, const char*, mode_t, fuse_file_info*) { fuse_reply_err(request, EPERM); }

}  // namespace flatimg::flat::handlers
