// Unpacked files for a worker that may not open them itself.
//
// Invariant: the supervisor looks for, and keeps, what belongs to the image that its command line names, and nothing
// else: a worker that has been taken over cannot put anything in the place of another image's contents.
#pragma once

#include "catalog/unpack_directory.h"
#include "fuse/errands.h"
#include "host/unpacked_files.h"

namespace flatimg::flat {

/// The worker's side. Unpacked files of other images than the source, such as parts of it, are found by nobody and not
/// kept.
class SupervisedUnpackedFiles final : public UnpackedFiles {
 public:
  /// `errands` outlives it. `where` is for people.
  SupervisedUnpackedFiles(Errands& errands, std::string source, std::string where)
      : errands_(errands), source_(std::move(source)), where_(std::move(where)) {}

  Result<std::unique_ptr<HostFile>> find(HostFile& packed) override;
  Result<std::unique_ptr<HostFile>> begin(HostFile& packed) override;
  Result<void> keep(HostFile& packed, HostFile& unpacked) override;
  [[nodiscard]] std::string where() const override { return where_; }

 private:
  [[nodiscard]] bool is_source(const HostFile& packed) const { return packed.name() == source_; }

  Errands& errands_;
  const std::string source_;
  const std::string where_;
};

/// The supervisor's side: answers to the errands.
class UnpackService {
 public:
  UnpackService(std::string source, const MountOptions& options);

  Message find();
  Message begin();
  Message keep();

 private:
  const std::string source_;
  catalog::UnpackDirectory directory_;
  std::unique_ptr<HostFile> packed_;  // opened before the mount, which may lie over it
  std::unique_ptr<HostFile> begun_;
};

}  // namespace flatimg::flat
