// Makes a new qcow2 image in an empty file.
//
// The layout of a fresh image is QEMU's: header in cluster 0, then refcount table, refcount blocks, L1 table; with
// preallocation the L2 tables and the data clusters behind it, in the order of the guest. The encryption header of an
// encrypted image stands behind the L1 table. Its preallocated clusters are marked as zero, because what the host shows
// there is noise to the guest.
//
// Invariants:
//   1. The header is written last, behind a barrier: until then the file is not an image.
//   2. Every cluster up to the end of the file is in use and has counter 1.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "crypto/luks_header.h"
#include "qcow2/backing_facts.h"
#include "qcow2/header.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow2 {

enum class Preallocation {
  Off,
  Metadata,  // all tables; data clusters are holes of the file
  Falloc,    // and the host reserves space for the data
  Full,      // and the data is written, as zeroes
};

/// How a new image is encrypted.
struct EncryptionOptions {
  enum class Method : std::uint32_t { Aes = 1, Luks = 2 };
  Method method = Method::Luks;
  crypto::LuksAlgorithms algorithms;  // of LUKS
  std::chrono::milliseconds iteration_time{2000};
};

struct CreateOptions {
  ByteCount size;  // of the virtual disk; a multiple of 512
  std::uint32_t version = 3;
  ByteCount cluster_size{65536};
  std::uint64_t refcount_bits = 16;
  bool lazy_refcounts = false;
  bool extended_l2 = false;
  Compression compression = Compression::Deflate;
  std::optional<std::string> backing_name;
  std::optional<std::string> backing_format;
  std::optional<BackingFacts> backing_facts;  // left out where the first cluster has no room for them
  std::optional<std::string> data_file_name;
  bool raw_data_file = false;
  Preallocation preallocation = Preallocation::Off;
  std::optional<EncryptionOptions> encryption;
  std::shared_ptr<const Secret> passphrase;  // needed with encryption
};

/// BadUsage for options that contradict each other or the format, in qemu-img's words. Touches nothing.
Result<void> check_options(const CreateOptions& options);

/// Makes the image in `file`, which is empty (or a block device), and gives `data_file` the size of the disk; that is
/// nullptr without options.data_file_name. On an error the file is not an image.
Result<void> create(HostFile& file, HostFile* data_file, const CreateOptions& options);

}  // namespace flatimg::qcow2
