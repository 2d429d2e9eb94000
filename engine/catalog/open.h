// Opens an image together with everything that it names, whatever the formats. The only room that knows all formats.
//
// Order, for each file: open, lock, read the first sector, parse. A name in an image is opened through the gate only.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "catalog/probe.h"
#include "host/gate.h"
#include "host/posix_file.h"
#include "host/unpacked_files.h"
#include "image/image.h"

namespace flatimg::catalog {

/// What happens to the images behind the top.
enum class Behind {
  Below,       // they show where the top has nothing
  Separately,  // they make a disk of their own, opened for writing; the top is opened as if there were none
};

inline constexpr ByteCount kUnpackSize = 64_GiB;

struct OpenRequest {
  std::string path;
  std::optional<std::string> format;  // nullopt: probe. BadUsage when the word is not a format
  Access access = Access::ReadWrite;
  /// With ReadWrite: an image that permissions or its own state forbid to write is opened read-only instead.
  bool read_only_if_need_be = true;
  /// All writes go to this qcow2, which has the image behind it; see make_overlay(). The image is never
  /// written.
  std::optional<std::string> overlay;
  /// Further pieces of a split Android sparse image, in order; empty: found by their names. BadUsage with other
  /// formats.
  std::vector<std::string> pieces;
  Behind behind = Behind::Below;
  std::vector<std::string> allowed_directories;  // allow-path=
  /// What may be opened because an image names it; nullptr: what lies around `path`, and allowed_directories.
  const Gate* gate = nullptr;
  /// How a file that the request itself names is opened, where its path is not the way to it.
  std::function<Result<std::unique_ptr<HostFile>>(const std::string& path, Access access)> open_named = open_host_file;
  std::optional<std::string> snapshot;  // show this internal snapshot, ID or name; for reading only
  std::optional<std::string> backing;   // use this file instead of what the image says
  ByteCount cache_size{64u << 20};
  std::chrono::milliseconds flush_interval{5000};
  /// For zstd files whose frames are too large to be decoded one by one; nullptr: those are refused.
  std::shared_ptr<UnpackedFiles> unpacked_files;
  ByteCount unpack_size{kUnpackSize};  // that such a file may hold
  bool locks = true;
  /// Of every encrypted image of the chain. Whoever asks lets go of it as soon as the image is open.
  std::shared_ptr<const Secret> passphrase;
  /// NotNeeded: only sizes and maps are asked for, so that encrypted images open without a passphrase.
  enum class Content { Needed, NotNeeded };
  Content content = Content::Needed;
};

struct Opened {
  std::vector<std::unique_ptr<Image>> chain;  // top first; what a Disk takes
  std::vector<std::unique_ptr<Image>> base;   // with Behind::Separately: the same for what is behind; else empty
  std::string format;
  bool format_guessed = false;
  std::vector<std::string> notes;  // what people should know: opened read-only because ..., backing format guessed
};

/// One clear error, nothing changed and nothing kept open on failure. Blocks for I/O.
Result<Opened> open_image(const OpenRequest& request);

}  // namespace flatimg::catalog
