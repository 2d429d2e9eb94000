// Requests about handles: open, create, release, and the two that make written data durable.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "base/text.h"
#include "fuse/tree/caller.h"
#include "fuse/tree/handlers.h"
#include "fuse/tree/opening.h"

namespace flatimg::flat::tree::handlers {

namespace {

Access access_of(const fuse_file_info& info) {
  return (info.flags & O_ACCMODE) == O_RDONLY ? Access::ReadOnly : Access::ReadWrite;
}

/// The handle while it is being opened: counted on the node, so that the node stays what it is.
class CountedHandle {
 public:
  static Passed<std::unique_ptr<CountedHandle>> on(Tree& tree, const NodePtr& node) {
    PASS(auto pinned, pin(tree, *node));
    const auto before = tree.nodes.add_handle(*node, pinned);
    if (!before) return refused(ESTALE);
    return std::unique_ptr<CountedHandle>(new CountedHandle(tree, node, std::move(pinned), *before));
  }
  ~CountedHandle() {
    if (!kept_) tree_.nodes.remove_handle(*node_);
  }
  CountedHandle(const CountedHandle&) = delete;
  CountedHandle& operator=(const CountedHandle&) = delete;

  [[nodiscard]] const Descriptor& pinned() const { return *pinned_; }
  [[nodiscard]] bool is_first() const { return others_ == 0; }
  void keep() { kept_ = true; }

 private:
  CountedHandle(Tree& tree, NodePtr node, std::shared_ptr<const Descriptor> pinned, unsigned others)
      : tree_(tree), node_(std::move(node)), pinned_(std::move(pinned)), others_(others) {}
  Tree& tree_;
  NodePtr node_;
  std::shared_ptr<const Descriptor> pinned_;
  unsigned others_;
  bool kept_ = false;
};

Passed<std::unique_ptr<Handle>> open_disk(fuse_req_t request, const NodePtr& node, fuse_file_info* info) {
  Tree& tree = tree_of(request);
  const Access access = access_of(*info);
  PASS(const auto counted, CountedHandle::on(tree, node));
  if (const int failed = refusal_of_caller(request, counted->pinned(), access)) return refused(failed);
  const bool was_open = tree.images.find(node->key) != nullptr;
  auto image = open_whole(tree, node, access);
  if (!image) {
    log_refused_image(source_path(tree, *node), image.error());
    return refused(errno_of_opening(image.error()));
  }
  counted->keep();
  info->keep_cache = was_open;  // nobody else has changed it since
  return std::make_unique<Handle>(DiskHandle{node, *std::move(image), access});
}

/// O_DIRECT would ask for aligned memory, which requests do not have; the kernel has dealt with the others.
int flags_for_host(int flags) { return flags & (O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC); }

Passed<Descriptor> open_as_caller(fuse_req_t request, const Descriptor& pinned, int flags) {
  const ActingAs caller(request);
  return open_pinned(pinned, flags_for_host(flags));
}

/// Whether an image has been made of the file since it was looked up.
bool has_become_image(const Descriptor& pinned, const Node& node) {
  auto file = open_pinned(pinned, O_RDONLY);
  const auto seen = see(pinned);
  if (!file || !seen || node.type != S_IFREG) return false;
  return kind_of(*std::move(file), *seen, "").shown_as() == ShownAs::Disk;
}

Passed<std::unique_ptr<Handle>> open_ordinary(fuse_req_t request, const NodePtr& node, fuse_file_info* info) {
  Tree& tree = tree_of(request);
  const Access access = access_of(*info);
  if (access == Access::ReadWrite && !tree.source_is_written()) return refused(EROFS);
  if (node->type != S_IFREG) return refused(EOPNOTSUPP);  // the kernel opens FIFOs itself and devices not at all
  PASS(const auto counted, CountedHandle::on(tree, node));
  if (counted->is_first() && has_become_image(counted->pinned(), *node)) return refused(ESTALE);
  PASS(Descriptor file, open_as_caller(request, counted->pinned(), info->flags));
  counted->keep();
  return std::make_unique<Handle>(std::in_place_type<FileHandle>, node, std::move(file), access);
}

void flush_image(fuse_req_t request, OpenImage& image) {
  const OpenImage::Use use(image);
  if (use.disk() == nullptr) return reply_errno(request, EIO);
  image.renew_times();
  reply_done(request, use.disk()->flush());
}

/// Where writing to an image comes to its end.
void release_handle(Tree& tree, const Handle& handle) {
  if (const auto* const disk = std::get_if<DiskHandle>(&handle)) {
    disk->image->renew_times();
    close_whole(tree, disk->node, disk->image, disk->access);
    tree.nodes.remove_handle(*disk->node);
  } else if (const auto* const file = std::get_if<FileHandle>(&handle)) {
    tree.nodes.remove_handle(*file->node);
  }
}

void reply_opened(fuse_req_t request, Passed<std::unique_ptr<Handle>> opened, fuse_file_info* info) {
  if (!opened) return reply_errno(request, opened.error());
  Tree& tree = tree_of(request);
  info->fh = number_for(**opened);
  ++tree.open_files;
  if (fuse_reply_open(request, info) != -ENOENT) return void(opened->release());
  --tree.open_files;
  release_handle(tree, **opened);
}

Passed<std::unique_ptr<Handle>> create_file(fuse_req_t request, const NodePtr& directory, const char* name, mode_t mode,
                                            const fuse_file_info& info, fuse_entry_param& entry) {
  Tree& tree = tree_of(request);
  PASS(const std::string real_name, name_to_make(tree, *directory, name));
  PASS(Descriptor file, [&]() -> Passed<Descriptor> {
    const ActingAs caller(request);
    return open_name(directory->directory, real_name, flags_for_host(info.flags) | O_CREAT | O_EXCL, mode);
  }());
  PASS(const Seen seen, see(file));
  PASS(const NodePtr node, enter(tree, directory, Located{seen, {}, real_name}));
  PASS(const auto counted, CountedHandle::on(tree, node));
  counted->keep();
  entry = entry_of(tree, *node, Located{seen, {}, real_name});
  auto handle = std::make_unique<Handle>(std::in_place_type<FileHandle>, node, std::move(file), access_of(info));
  std::get<FileHandle>(*handle).fresh = true;
  return handle;
}

}  // namespace

void open(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  if (FactNodes::has(number)) return open_fact(request, number, info);
  const auto node = node_at(request, number);
  if (!node) return reply_errno(request, node.error());
  const bool disk = (*node)->shown_as == ShownAs::Disk;
  reply_opened(request, disk ? open_disk(request, *node, info) : open_ordinary(request, *node, info), info);
}

// Always a new file. Where there is one already, the kernel looks the name up again and opens what it finds, which may
// be an image.
void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
  const auto directory = node_at(request, parent);
  if (!directory) return reply_errno(request, directory.error());
  fuse_entry_param entry{};
  auto created = create_file(request, *directory, name, mode, *info, entry);
  const bool exclusive = (info->flags & O_EXCL) != 0;
  if (!created) return reply_errno(request, created.error() == EEXIST && !exclusive ? ESTALE : created.error());
  Tree& tree = tree_of(request);
  info->fh = number_for(**created);
  ++tree.open_files;
  if (fuse_reply_create(request, &entry, info) != -ENOENT) return void(created->release());
  --tree.open_files;
  release_handle(tree, **created);
  tree.nodes.forget(entry.ino, 1);
}

void release(fuse_req_t request, fuse_ino_t /*number*/, fuse_file_info* info) {
  Tree& tree = tree_of(request);
  const std::unique_ptr<Handle> handle(&handle_of(*info));
  release_handle(tree, *handle);
  --tree.open_files;
  fuse_reply_err(request, 0);
}

// close() is no barrier. What a file system tells only when a file is closed (NFS) is told now.
void flush(fuse_req_t request, fuse_ino_t /*number*/, fuse_file_info* info) {
  Handle& handle = handle_of(*info);
  if (auto* const disk = std::get_if<DiskHandle>(&handle)) disk->image->renew_times();
  if (auto* const of = std::get_if<PartHandle>(&handle)) of->part->image().renew_times();
  if (auto* const file = std::get_if<FileHandle>(&handle)) {
    const int copy = ::fcntl(file->file.get(), F_DUPFD_CLOEXEC, 0);
    if (copy >= 0 && ::close(copy) != 0) return reply_errno(request, errno);
  }
  fuse_reply_err(request, 0);
}

void fsync(fuse_req_t request, fuse_ino_t /*number*/, int data_only, fuse_file_info* info) {
  Handle& handle = handle_of(*info);
  if (auto* const disk = std::get_if<DiskHandle>(&handle)) return flush_image(request, *disk->image);
  if (auto* const of = std::get_if<PartHandle>(&handle)) return flush_image(request, of->part->image());
  if (auto* const file = std::get_if<FileHandle>(&handle)) {
    const int done = data_only != 0 ? ::fdatasync(file->file.get()) : ::fsync(file->file.get());
    return reply_errno(request, done == 0 ? 0 : errno);
  }
  fuse_reply_err(request, 0);
}

}  // namespace flatimg::flat::tree::handlers
