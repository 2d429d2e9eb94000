// Opening what a node stands for.
#pragma once

#include "catalog/describe.h"
#include "fuse/flat_file.h"
#include "fuse/tree/handles.h"
#include "fuse/tree/locate.h"

namespace flatimg::flat::tree {

/// One more handle of the image of a node, which OpenImages::close() takes back.
Result<std::shared_ptr<OpenImage>> open_image_of(Tree& tree, const NodePtr& node, Access access);

/// The same for the flat file of the whole disk: for writing it takes a claim, which is Busy while a partition is open
/// for writing.
Result<std::shared_ptr<OpenImage>> open_whole(Tree& tree, const NodePtr& node, Access access);
void close_whole(Tree& tree, const NodePtr& node, const std::shared_ptr<OpenImage>& image, Access access);

/// Whether the file system lets the caller do that with the file, 0 or the errno; it may know more than the mode.
[[nodiscard]] int refusal_of_caller(fuse_req_t request, const Descriptor& pinned, Access access);

/// Why an image or a part of it could not be opened; at most so many times that the log is not filled.
void log_refused_image(const std::string& path, const Error& error);

/// How the file of a node is opened, whatever name it has by then.
[[nodiscard]] OpenImages::OpenFile file_of(Tree& tree, const NodePtr& node);

/// What the image says of itself; takes no lock.
Result<ImageInfo> describe_node(Tree& tree, const NodePtr& node);

/// Whether truncate resizes.
[[nodiscard]] inline Growth growth_of(const Tree& tree) {
  return tree.options.growable ? Growth::Allowed : Growth::Refused;
}

/// The errno for an image that could not be opened. EACCES where it cannot be written.
[[nodiscard]] int errno_of_opening(const Error& error);

}  // namespace flatimg::flat::tree
