#include "fuse/reach.h"

#include <unistd.h>

#include <filesystem>

#include "host/gate.h"

namespace flatimg::flat {

namespace {

/// The directory in which the gate looks for what the image names.
std::string directory_of(const std::string& path) {
  std::error_code failed;
  return std::filesystem::absolute(path, failed).parent_path().string();
}

/// Overlays are made in a directory of theirs, and then nothing else is written. Root acts as whoever asks, and /proc
/// tells his groups.
std::vector<Reachable> files_of_tree(const std::string& source, const MountOptions& options) {
  const Rights rights = options.read_only ? Rights::ReadTree : Rights::Tree;
  std::vector<Reachable> files{{source, options.overlay ? Rights::ReadTree : rights}};
  if (options.overlay) files.push_back({*options.overlay, rights});
  if (::geteuid() == 0) files.push_back({"/proc", Rights::Read});
  return files;
}

std::vector<Reachable> files_of_image(const std::string& source, const MountOptions& options) {
  const Rights rights = options.read_only ? Rights::Read : Rights::ReadWrite;
  std::vector<Reachable> files{{source, options.overlay ? Rights::Read : rights}, {directory_of(source), rights}};
  if (options.overlay) files.push_back({*options.overlay, rights});
  return files;
}

}  // namespace

std::vector<Reachable> files_of_mount(const std::string& source, const MountOptions& options) {
  std::error_code failed;
  const bool tree = std::filesystem::is_directory(source, failed);
  std::vector<Reachable> files = tree ? files_of_tree(source, options) : files_of_image(source, options);
  const Rights rights = options.read_only ? Rights::Read : Rights::ReadWrite;
  for (const std::string& directory : options.allowed_directories) {
    if (directory != Gate::kDescriptors) files.push_back({directory, rights});
  }
  if (options.backing) files.push_back({*options.backing, Rights::Read});
  for (const std::string& piece : options.pieces) files.push_back({piece, Rights::Read});
  return files;
}

}  // namespace flatimg::flat
