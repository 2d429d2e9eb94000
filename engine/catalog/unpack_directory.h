// The cache directory as the place for unpacked files.
//
// Invariant: an unpacked file is used again only for a file of the same length, time of change and contents; of large
// files the contents are sampled.
#pragma once

#include "host/cache_directory.h"
#include "host/unpacked_files.h"

namespace flatimg::catalog {

class UnpackDirectory final : public UnpackedFiles {
 public:
  enum class AfterUse { Keep, Forget };
  /// `path` empty: the usual one. Nothing is made before begin(). `most`: bytes that all kept files take together.
  UnpackDirectory(std::string path, ByteCount most, AfterUse after_use);

  Result<std::unique_ptr<HostFile>> find(HostFile& packed) override;
  Result<std::unique_ptr<HostFile>> begin(HostFile& packed) override;
  Result<void> keep(HostFile& packed, HostFile& unpacked) override;
  [[nodiscard]] std::string where() const override { return path_; }

 private:
  std::string path_;
  ByteCount most_;
  AfterUse after_use_;
};

}  // namespace flatimg::catalog
