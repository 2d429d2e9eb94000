// Which options of a new image go together.
#include <bit>

#include "base/limits.h"
#include "crypto/luks_keys.h"
#include "qcow2/create.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::string_view kNeedsVersion3 = "with compatibility level 1.1 and above (use compat=1.1)";
constexpr ByteCount kLeastClusterOfExtendedL2 = 16_KiB;

Result<void> check_version(const CreateOptions& options) {
  if (options.version >= 3) return {};
  const auto needs_3 = [](std::string_view what) {
    return fail(ErrorKind::BadUsage, "{} only supported {}", what, kNeedsVersion3);
  };
  if (options.data_file_name) return needs_3("External data files are");
  if (options.extended_l2) return needs_3("Extended L2 entries are");
  if (options.lazy_refcounts) return needs_3("Lazy refcounts are");
  if (options.refcount_bits != 16) return needs_3("Refcount widths other than 16 bits are");
  if (options.compression != Compression::Deflate) return needs_3("Non-zlib compression types are");
  return {};
}

Result<void> check_numbers(const CreateOptions& options) {
  const std::uint64_t cluster = options.cluster_size.value();
  if (!std::has_single_bit(cluster) || cluster < std::uint64_t{1} << limits::kQcow2MinClusterBits ||
      cluster > std::uint64_t{1} << limits::kQcow2MaxClusterBits) {
    return fail(ErrorKind::BadUsage, "Cluster size must be a power of two between 512 and 2048k");
  }
  if (!std::has_single_bit(options.refcount_bits) || options.refcount_bits > 64) {
    return fail(ErrorKind::BadUsage, "Refcount width must be a power of two and may not exceed 64 bits");
  }
  if (options.extended_l2 && options.cluster_size < kLeastClusterOfExtendedL2) {
    return fail(ErrorKind::BadUsage, "Extended L2 entries are only supported with cluster sizes of at least {} bytes",
                kLeastClusterOfExtendedL2.value());
  }
  const std::uint64_t span = cluster * (cluster / (options.extended_l2 ? 16 : 8));
  if (options.size.value() / span >= limits::kQcow2L1Table.value() / 8) {
    return fail(ErrorKind::BadUsage,
                "The image size is too large for file format 'qcow2' (try using a larger cluster size)");
  }
  return {};
}

Result<void> check_other_files(const CreateOptions& options) {
  if (options.raw_data_file && !options.data_file_name) {
    return fail(ErrorKind::BadUsage, "data_file_raw requires data_file");
  }
  if (options.backing_format && !options.backing_name) {
    return fail(ErrorKind::BadUsage, "Backing format cannot be used without backing file");
  }
  if (!options.backing_name) return {};
  if (options.backing_name->empty() || options.backing_name->size() > limits::kQcow2BackingName) {
    return fail(ErrorKind::BadUsage, "The name of the backing file must have 1 to {} bytes", limits::kQcow2BackingName);
  }
  if (options.raw_data_file) {
    return fail(ErrorKind::BadUsage, "Backing file and data_file_raw cannot be used at the same time");
  }
  if (options.preallocation != Preallocation::Off && !options.extended_l2) {
    return fail(ErrorKind::BadUsage,
                "Backing file and preallocation can only be used at the same time if extended_l2 is on");
  }
  return {};
}

Result<void> check_encryption(const CreateOptions& options) {
  if (!options.encryption) return {};
  if (options.encryption->method == EncryptionOptions::Method::Luks) {
    CHECK(crypto::check_creatable(options.encryption->algorithms));
  }
  if (options.version < 3 && options.preallocation != Preallocation::Off) {
    return fail(ErrorKind::BadUsage,
                "Encryption and preallocation can only be used together with compatibility level 1.1 and above (use "
                "compat=1.1)");
  }
  if (options.passphrase) return {};
  return fail(ErrorKind::BadUsage, "an encrypted image needs a passphrase: give a file that holds it with --key-file");
}

}  // namespace

Result<void> check_options(const CreateOptions& options) {
  CHECK(check_numbers(options));
  CHECK(check_version(options));
  CHECK(check_other_files(options));
  return check_encryption(options);
}

}  // namespace flatimg::qcow2
