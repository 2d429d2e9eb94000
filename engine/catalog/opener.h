// The opening of one image and of all that it names, step by step. Private to this room; open.h is its door.
//
//   open.cpp            the top, and which format it has
//   open_formats.cpp    one function for each format
//   open_composite.cpp  the parts of a composite disk
//   open_behind.cpp     backing files, recorded or named by the request
//
// Used by one thread, once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/chain_rules.h"
#include "catalog/chain_walk.h"
#include "catalog/open.h"
#include "composite/composite_image.h"
#include "host/sticky_file.h"
#include "qcow2/header.h"
#include "seekable_zstd/file_frames.h"

namespace flatimg::catalog {

// A file that the command line names. The first is the top; the next ones come behind it, whatever the images say.
struct Named {
  std::string path;
  std::optional<std::string> format;  // nullopt: what is recorded, or probe
};

// One file of the chain that is being opened.
struct Source {
  std::unique_ptr<HostFile> file;
  std::string path;                   // names in the image are relative to its directory
  std::optional<std::string> format;  // nullopt: probe
  Access access = Access::ReadOnly;
  std::shared_ptr<BarrierMemory> barriers = new_barrier_memory();  // the files of one image fail together
};

class Opener {
 public:
  Opener(const OpenRequest& request, Gate gate);

  Result<Opened> open();
  /// Why a part of the disk that failed to open can only be read; nullopt when that was not the reason.
  [[nodiscard]] const std::optional<std::string>& unwritable_part() const { return unwritable_part_; }

 private:
  using Recorded = std::optional<Backing>;  // what an image says is behind it
  using Files = std::vector<std::unique_ptr<HostFile>>;

  // open.cpp
  Result<Source> open_top();
  Result<Source> readable_if_never_written(Source source) const;
  Result<Image*> open_source(Source source);
  Result<void> lock(const HostFile& file, Access access);
  Image* keep(std::unique_ptr<Image> image);

  // open_formats.cpp
  Result<Image*> open_raw(Source source, bool guessed);
  std::string note_foreign(const std::string& path, std::string_view format);
  Result<Image*> open_sparse(Source source);
  Result<Image*> open_zstd(Source source);
  Result<Image*> open_large_zstd(Source source, ByteCount cache, const Result<seekable_zstd::FileFrames>& why);
  Result<Image*> open_qcow1(Source source);
  Result<Image*> open_qcow2(Source source);
  Result<Files> open_named_pieces();
  Result<Files> open_numbered_pieces(const std::string& first);
  Result<std::unique_ptr<HostFile>> open_data_file(const qcow2::Header& header, const Source& source);
  [[nodiscard]] std::string reason_not_to_write(std::string_view format) const;
  ByteCount take_cache_share(const Recorded& recorded);

  // open_composite.cpp
  Result<Image*> open_composite(Source source);
  Result<Source> find_part(const composite::Part& part, const Source& whole);
  Result<composite::OpenPart> open_part(const composite::Part& part, Source source);

  // open_behind.cpp
  Result<Image*> open_backing(const Recorded& recorded, const std::string& asking_path);
  Result<Source> open_named_backing(const Named& named, const Recorded& recorded, const std::string& asking_path);
  Result<Source> open_recorded_backing(const Backing& recorded, const std::string& asking_path);
  Result<void> must_be_overlay_of(const HostFile& image, const Recorded& recorded, const std::string& overlay);
  Result<void> open_base(Source base);
  void note_base(std::optional<std::string> wrong);
  [[nodiscard]] bool separate_base() const;
  [[nodiscard]] const Named* named_behind() const;

  const OpenRequest& request_;
  Gate gate_;
  const std::vector<Named> named_;
  Opened opened_;
  ChainRules rules_;
  SharingRules sharing_;
  std::optional<std::string> unwritable_part_;
  ByteCount cache_left_;  // of the budget, for images further down
};

}  // namespace flatimg::catalog
