// Where files are unpacked to that can only be read as a whole, and what was unpacked before.
#pragma once

#include <optional>
#include <string>

#include "host/host_file.h"

namespace flatimg {

class UnpackedFiles {
 public:
  UnpackedFiles() = default;
  UnpackedFiles(const UnpackedFiles&) = delete;
  UnpackedFiles& operator=(const UnpackedFiles&) = delete;
  virtual ~UnpackedFiles() = default;

  /// What this file was unpacked to at another time, for reading; nullptr when there is nothing.
  virtual Result<std::unique_ptr<HostFile>> find(HostFile& packed) = 0;
  /// A new file without a name: it is gone with its descriptor.
  virtual Result<std::unique_ptr<HostFile>> begin(HostFile& packed) = 0;
  /// What begin() made for it is complete and on stable storage: the next find() may have it. Any thread.
  virtual Result<void> keep(HostFile& packed, HostFile& unpacked) = 0;

  /// For people.
  [[nodiscard]] virtual std::string where() const = 0;
};

}  // namespace flatimg
