// Requests that make, move and remove names. The host does it, as whoever asked; an image is its file here. One that is
// open goes on as it is: what is renamed keeps its disk, what is removed has it until the last handle is closed.
#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "fuse/tree/caller.h"
#include "fuse/tree/handlers.h"

namespace flatimg::flat::tree::handlers {

namespace {

/// What a system call says, as an errno.
int outcome(int result) { return result == 0 ? 0 : errno; }

/// What a file is to be called underneath. An image has its suffix in the mount and not underneath; a name that it
/// could not have is refused.
Passed<std::string> new_name(const Tree& tree, const Node& directory, const char* name, ShownAs shown_as) {
  PASS(std::string real_name, name_to_make(tree, directory, name));
  const std::string& suffix = tree.options.suffix;
  const bool has_suffix = !suffix.empty() && shown_as == ShownAs::Disk;
  if (!has_suffix) return real_name;
  if (!real_name.ends_with(suffix) || real_name.size() == suffix.size()) return refused(EPERM);
  real_name.resize(real_name.size() - suffix.size());
  return real_name;
}

/// Makes a name in a directory by `make` and answers with what is there then.
template <class Make>
void make_name(fuse_req_t request, fuse_ino_t parent, const char* name, ShownAs shown_as, Make make) {
  Tree& tree = tree_of(request);
  const auto directory = node_at(request, parent);
  if (!directory) return reply_errno(request, directory.error());
  const auto real_name = new_name(tree, **directory, name, shown_as);
  if (!real_name) return reply_errno(request, real_name.error());
  int failed = 0;
  {
    const ActingAs caller(request);
    failed = outcome(make((*directory)->directory.get(), real_name->c_str()));
  }
  if (failed != 0) return reply_errno(request, failed);
  reply_entry(request, *directory, locate(tree, **directory, name));
}

/// The name underneath of something that is to be moved or removed.
Passed<Located> name_to_change(Tree& tree, const Node& directory, const char* name) {
  if (directory.number == Nodes::kRoot && name == kFactsName) return refused(EPERM);
  if (!tree.source_is_written()) return refused(EROFS);
  return locate(tree, directory, name);
}

void remove_name(fuse_req_t request, fuse_ino_t parent, const char* name, int flags) {
  const auto directory = node_at(request, parent);
  if (!directory) return reply_errno(request, directory.error());
  const auto located = name_to_change(tree_of(request), **directory, name);
  if (!located) return reply_errno(request, located.error());
  int failed = 0;
  {
    const ActingAs caller(request);
    failed = outcome(::unlinkat((*directory)->directory.get(), located->name.c_str(), flags));
  }
  reply_errno(request, failed);
}

struct Move {
  NodePtr from;
  NodePtr to;
  Located what;
  std::string new_name;
  std::optional<Located> other;  // what has the new name already
};

Passed<Move> plan_move(Tree& tree, NodePtr from, const char* name, NodePtr to, const char* to_name) {
  PASS(Located what, name_to_change(tree, *from, name));
  PASS(std::string real_name, new_name(tree, *to, to_name, what.shown_as()));
  auto other = locate(tree, *to, to_name);
  if (other) real_name = other->name;
  return Move{std::move(from), std::move(to), std::move(what), std::move(real_name),
              other ? std::optional(*std::move(other)) : std::nullopt};
}

int rename_on_host(fuse_req_t request, const Move& move, unsigned flags) {
  const ActingAs caller(request);
  return outcome(::renameat2(move.from->directory.get(), move.what.name.c_str(), move.to->directory.get(),
                             move.new_name.c_str(), flags));
}

}  // namespace

// Devices would be of no use: the mount is nodev.
void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t /*device*/) {
  if (S_ISBLK(mode) || S_ISCHR(mode)) return reply_errno(request, EPERM);
  make_name(request, parent, name, ShownAs::ItIs,
            [mode](int directory, const char* at) { return ::mknodat(directory, at, mode, 0); });
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  make_name(request, parent, name, ShownAs::ItIs,
            [mode](int directory, const char* at) { return ::mkdirat(directory, at, mode); });
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  make_name(request, parent, name, ShownAs::ItIs,
            [target](int directory, const char* at) { return ::symlinkat(target, directory, at); });
}

void link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char* name) {
  const auto node = node_at(request, number);
  if (!node) return reply_errno(request, node.error());
  const auto pinned = pin(tree_of(request), **node);
  if (!pinned) return reply_errno(request, pinned.error());
  make_name(request, parent, name, (*node)->shown_as, [path = path_to(**pinned)](int directory, const char* at) {
    return ::linkat(AT_FDCWD, path.c_str(), directory, at, AT_SYMLINK_FOLLOW);
  });
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) { remove_name(request, parent, name, 0); }

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  remove_name(request, parent, name, AT_REMOVEDIR);
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t to_parent, const char* to_name,
            unsigned flags) {
  Tree& tree = tree_of(request);
  const auto from = node_at(request, parent);
  const auto to = node_at(request, to_parent);
  if (!from || !to) return reply_errno(request, ESTALE);
  if ((flags & RENAME_WHITEOUT) != 0) return reply_errno(request, EINVAL);
  const auto move = plan_move(tree, *from, name, *to, to_name);
  if (!move) return reply_errno(request, move.error());
  const int failed = rename_on_host(request, *move, flags);
  if (failed == 0) {
    tree.nodes.moved({*from, move->what.name}, move->what.seen.key, {*to, move->new_name});
    if ((flags & RENAME_EXCHANGE) != 0 && move->other) {
      tree.nodes.moved({*to, move->new_name}, move->other->seen.key, {*from, move->what.name});
    }
  }
  reply_errno(request, failed);
}

}  // namespace flatimg::flat::tree::handlers
