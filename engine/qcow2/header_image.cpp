#include "qcow2/header_image.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/endian.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::uint32_t kV2Length = 72;
constexpr std::uint32_t kV3Length = 112;  // with the compression type and its padding
constexpr ByteCount kLargestClusterWithoutFeatureNames = 4_KiB;

struct FeatureName {
  unsigned char word;  // 0 incompatible, 1 compatible, 2 autoclear
  unsigned char bit;
  std::string_view name;
};
// The names that QEMU records, so that older programs can say what they lack.
constexpr std::array<FeatureName, 8> kFeatureNames{{
    {0, 0, "dirty bit"},
    {0, 1, "corrupt bit"},
    {0, 2, "external data file"},
    {0, 3, "compression type"},
    {0, 4, "extended L2 entries"},
    {1, 0, "lazy refcounts"},
    {2, 0, "bitmaps"},
    {2, 1, "raw external data"},
}};
constexpr std::size_t kFeatureNameBytes = 48;

std::string feature_names() {
  std::string table(kFeatureNames.size() * kFeatureNameBytes, '\0');
  std::size_t at = 0;
  for (const FeatureName& feature : kFeatureNames) {
    table[at] = static_cast<char>(feature.word);
    table[at + 1] = static_cast<char>(feature.bit);
    feature.name.copy(&table[at + 2], feature.name.size());
    at += kFeatureNameBytes;
  }
  return table;
}

// Appends to a cluster, and remembers whether everything found room.
class ClusterWriter {
 public:
  explicit ClusterWriter(ByteCount cluster, std::size_t begin) : bytes_(cluster.value(), '\0'), at_(begin) {}

  template <std::unsigned_integral T>
  void put(std::size_t at, T value) {
    store_be(std::as_writable_bytes(std::span(bytes_)), at, value);
  }
  void append_extension(std::uint32_t type, std::string_view payload) {
    if (!reserve(8 + payload.size())) return;
    put(at_, type);
    put(at_ + 4, static_cast<std::uint32_t>(payload.size()));
    std::memcpy(bytes_.data() + at_ + 8, payload.data(), payload.size());
    at_ += 8 + (payload.size() + 7) / 8 * 8;
  }
  /// Where the text begins.
  std::size_t append_text(std::string_view text) {
    if (!reserve(text.size())) return 0;
    std::memcpy(bytes_.data() + at_, text.data(), text.size());
    return std::exchange(at_, at_ + text.size());
  }
  [[nodiscard]] bool fits() const { return fits_; }
  [[nodiscard]] std::vector<std::byte> bytes() const {
    const auto bytes = std::as_bytes(std::span(bytes_));
    return {bytes.begin(), bytes.end()};
  }

 private:
  bool reserve(std::size_t bytes) {
    fits_ = fits_ && at_ <= bytes_.size() && bytes <= bytes_.size() - at_;
    return fits_;
  }

  std::string bytes_;
  std::size_t at_;
  bool fits_ = true;
};

void put_fixed_fields(ClusterWriter& cluster, const CreateOptions& options, const TablePlaces& places) {
  cluster.put(0, kMagic);
  cluster.put(4, options.version);
  cluster.put(20, static_cast<std::uint32_t>(std::countr_zero(options.cluster_size.value())));
  cluster.put(24, options.size.value());
  if (options.encryption) cluster.put(32, static_cast<std::uint32_t>(options.encryption->method));
  cluster.put(36, places.l1_entries);
  cluster.put(40, places.l1_table.value());
  cluster.put(48, places.refcount_table.value());
  cluster.put(56, places.refcount_table_clusters);
}

void put_version_3_fields(ClusterWriter& cluster, const CreateOptions& options) {
  std::uint64_t incompatible = 0;
  if (options.data_file_name) incompatible |= incompatible::kDataFile;
  if (options.compression != Compression::Deflate) incompatible |= incompatible::kCompressionType;
  if (options.extended_l2) incompatible |= incompatible::kExtendedL2;
  cluster.put(72, incompatible);
  cluster.put(80, options.lazy_refcounts ? compatible::kLazyRefcounts : std::uint64_t{0});
  cluster.put(88, options.raw_data_file ? autoclear::kRawDataFile : std::uint64_t{0});
  cluster.put(96, static_cast<std::uint32_t>(std::countr_zero(options.refcount_bits)));
  cluster.put(100, kV3Length);
  cluster.put(104, static_cast<unsigned char>(options.compression));
}

std::string crypto_pointer(HostRange where) {
  std::string payload(16, '\0');
  const auto bytes = std::as_writable_bytes(std::span(payload));
  store_be(bytes, 0, where.begin.value());
  store_be(bytes, 8, where.length.value());
  return payload;
}

void append_extensions(ClusterWriter& cluster, const CreateOptions& options, const TablePlaces& places) {
  if (const auto& format = options.backing_format) {
    cluster.append_extension(extension::of_backing_format(*format), *format);
  }
  if (options.data_file_name) cluster.append_extension(extension::kDataFile, *options.data_file_name);
  if (places.crypto_header) cluster.append_extension(extension::kCrypto, crypto_pointer(*places.crypto_header));
  if (options.version >= 3 && options.cluster_size > kLargestClusterWithoutFeatureNames) {
    cluster.append_extension(extension::kFeatureNames, feature_names());
  }
  if (options.backing_name && options.backing_facts) {
    const auto payload = encode_facts(options.backing_facts, *options.backing_name);
    cluster.append_extension(extension::kBackingFacts, {reinterpret_cast<const char*>(payload.data()), payload.size()});
  }
  cluster.append_extension(extension::kEnd, "");
}

}  // namespace

Result<std::vector<std::byte>> header_cluster(const CreateOptions& options, const TablePlaces& places) {
  ClusterWriter cluster(options.cluster_size, options.version >= 3 ? kV3Length : kV2Length);
  put_fixed_fields(cluster, options, places);
  if (options.version >= 3) put_version_3_fields(cluster, options);
  append_extensions(cluster, options, places);
  if (options.backing_name) {
    cluster.put(8, std::uint64_t{cluster.append_text(*options.backing_name)});
    cluster.put(16, static_cast<std::uint32_t>(options.backing_name->size()));
  }
  if (!cluster.fits() && options.backing_facts) {
    CreateOptions less = options;
    less.backing_facts.reset();
    return header_cluster(less, places);
  }
  if (!cluster.fits()) {
    return fail(ErrorKind::BadUsage,
                "the names of other files do not fit into a header of one cluster: use larger clusters");
  }
  return cluster.bytes();
}

}  // namespace flatimg::qcow2
