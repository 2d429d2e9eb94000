#include "fuse/tree/opening.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/log.h"
#include "base/text.h"
#include "fuse/reply.h"
#include "fuse/tree/caller.h"

namespace flatimg::flat::tree {

namespace {

Result<std::unique_ptr<HostFile>> open_node_file(Tree& tree, const Node& node, const std::string& path, Access access) {
  const auto pinned = pin(tree, node);
  if (!pinned) return fail_os(pinned.error(), "{}", shown(path));
  auto file = open_pinned(**pinned, access == Access::ReadWrite ? O_RDWR : O_RDONLY);
  if (!file) return fail_os(file.error(), "{}", shown(path));
  return adopt_host_file(*std::move(file), path, access);
}

/// Makes the directories of a path beneath `top`, which is there.
Result<void> make_directories(const std::filesystem::path& top, const std::filesystem::path& beneath) {
  std::filesystem::path path = top;
  for (const auto& name : beneath) {
    path /= name;
    if (::mkdirat(AT_FDCWD, path.c_str(), 0700) == 0 || errno == EEXIST) continue;
    return fail_os(errno, "{}: making the directory of the overlay", shown(path.string()));
  }
  return {};
}

/// The overlay lies where the image lies, in another tree. Its directories are made for a writer.
Result<std::optional<std::string>> overlay_of(const Tree& tree, const Node& node, Access access) {
  if (!tree.options.overlay) return std::optional<std::string>();
  const std::filesystem::path top = *tree.options.overlay;
  const std::filesystem::path beneath = tree.nodes.path_of(node);
  if (access == Access::ReadWrite) CHECK(make_directories(top, beneath.parent_path()));
  return std::optional((top / beneath).string());
}

}  // namespace

OpenImages::OpenFile file_of(Tree& tree, const NodePtr& node) {
  return [&tree, node, path = source_path(tree, *node)](Access how) { return open_node_file(tree, *node, path, how); };
}

Result<ImageInfo> describe_node(Tree& tree, const NodePtr& node) {
  TRY(auto file, file_of(tree, node)(Access::ReadOnly));
  catalog::InspectRequest request;
  request.path = source_path(tree, *node);
  request.locks = catalog::Locks::Ignore;
  TRY(const catalog::Inspected image, catalog::inspect_opened(std::move(file), request));
  return catalog::describe_inspected(image);
}

Result<std::shared_ptr<OpenImage>> open_image_of(Tree& tree, const NodePtr& node, Access access) {
  OpenImages::Wanted wanted;
  wanted.key = node->key;
  wanted.path = source_path(tree, *node);
  wanted.access = access;
  wanted.open_file = file_of(tree, node);
  TRY(wanted.overlay, overlay_of(tree, *node, access));
  return tree.images.open(wanted);
}

Result<std::shared_ptr<OpenImage>> open_whole(Tree& tree, const NodePtr& node, Access access) {
  TRY(auto image, open_image_of(tree, node, access));
  if (access == Access::ReadOnly) return image;
  auto claimed = image->claims().add({});
  if (claimed) return image;
  tree.images.close(node->key, image, access);
  return Failure(std::move(claimed.error()));
}

void close_whole(Tree& tree, const NodePtr& node, const std::shared_ptr<OpenImage>& image, Access access) {
  if (access == Access::ReadWrite) image->claims().remove({});
  tree.images.close(node->key, image, access);
}

int refusal_of_caller(fuse_req_t request, const Descriptor& pinned, Access access) {
  const auto& tree = static_cast<const Tree&>(mount_of(request));
  const ActingAs caller(request);
  const bool writes_it = access == Access::ReadWrite && !tree.options.overlay;
  const int mode = writes_it ? R_OK | W_OK : R_OK;
  return ::faccessat(pinned.get(), "", mode, AT_EMPTY_PATH | AT_EACCESS) == 0 ? 0 : errno;
}

void log_refused_image(const std::string& path, const Error& error) {
  constexpr unsigned kMostLogged = 100;  // a scanner that opens every file again and again would fill the log
  static std::atomic<unsigned> logged{0};
  const unsigned before = logged.fetch_add(1);
  if (before < kMostLogged) log(LogLevel::Warning, "opening {}: {}", shown(path), error.text);
  if (before + 1 == kMostLogged) log(LogLevel::Warning, "further images that cannot be opened are not logged");
}

int errno_of_opening(const Error& error) {
  if (error.kind == ErrorKind::Denied) return EACCES;
  if (error.kind == ErrorKind::Limit) return ENFILE;
  return errno_of(error);
}

}  // namespace flatimg::flat::tree
