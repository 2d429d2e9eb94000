#include "fuse/folder_replies.h"

#include <cerrno>

namespace flatimg::flat {

namespace {

constexpr ino_t kNotKnown = ino_t{1} << 62;  // before it is looked up

/// What it takes, which may be more than there is room for. A node of 0 says that this was no lookup.
std::size_t add_item(fuse_req_t request, std::span<char> room, const FolderItem& item, off_t next, Listing form) {
  fuse_entry_param entry{};
  entry.attr.st_mode = item.type;
  entry.attr.st_ino = kNotKnown;
  if (form == Listing::Names) {
    return fuse_add_direntry(request, room.data(), room.size(), item.name.c_str(), &entry.attr, next);
  }
  return fuse_add_direntry_plus(request, room.data(), room.size(), item.name.c_str(), &entry, next);
}

}  // namespace

void reply_items(fuse_req_t request, std::span<const FolderItem> items, std::size_t room, off_t from, Listing form) {
  if (from < 0) return void(fuse_reply_err(request, EINVAL));
  std::vector<char> buffer(room);
  std::size_t filled = 0;
  for (auto at = static_cast<std::size_t>(from); at < items.size(); ++at) {
    const std::span<char> rest = std::span(buffer).subspan(filled);
    const std::size_t taken = add_item(request, rest, items[at], static_cast<off_t>(at + 1), form);
    if (taken > rest.size()) break;
    filled += taken;
  }
  fuse_reply_buf(request, buffer.data(), filled);
}

}  // namespace flatimg::flat
