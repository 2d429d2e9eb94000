#include "qcow2/create.h"

#include <bit>

#include "base/checked.h"
#include "base/endian.h"
#include "crypto/luks_keys.h"
#include "host/host_file.h"
#include "qcow2/header_image.h"
#include "qcow2/layout.h"
#include "qcow2/refcount_block.h"

namespace flatimg::qcow2 {

namespace {

// How many clusters each part of a new image has; they stand one behind the other in this order, behind the header.
struct Plan {
  std::uint64_t refcount_table = 1;
  std::uint64_t refcount_blocks = 1;
  std::uint64_t l1_table = 0;
  std::uint64_t crypto_header = 0;
  std::uint64_t l2_tables = 0;
  std::uint64_t data = 0;  // in this file

  [[nodiscard]] std::uint64_t first_l1() const { return 1 + refcount_table + refcount_blocks; }
  [[nodiscard]] std::uint64_t first_crypto() const { return first_l1() + l1_table; }
  [[nodiscard]] std::uint64_t first_l2() const { return first_crypto() + crypto_header; }
  [[nodiscard]] std::uint64_t first_data() const { return first_l2() + l2_tables; }
  [[nodiscard]] std::uint64_t end() const { return first_data() + data; }
};

class Creator {
 public:
  Creator(HostFile& file, HostFile* data_file, const CreateOptions& options, const std::optional<crypto::NewLuks>& luks)
      : file_(file), data_file_(data_file), options_(options), luks_(luks), cluster_(options.cluster_size.value()) {}

  Result<void> create();

 private:
  // A raw data file must be right without the tables, which therefore are there from the beginning.
  [[nodiscard]] bool with_tables() const {
    return options_.preallocation != Preallocation::Off || options_.raw_data_file;
  }
  [[nodiscard]] std::uint64_t entry_bytes() const { return options_.extended_l2 ? 16 : 8; }
  [[nodiscard]] std::uint64_t guest_clusters() const { return ceil_divide(options_.size.value(), cluster_); }
  [[nodiscard]] std::uint64_t l1_entries() const { return ceil_divide(guest_clusters(), cluster_ / entry_bytes()); }
  [[nodiscard]] HostOffset place_of(std::uint64_t cluster) const { return HostOffset(cluster * cluster_); }

  [[nodiscard]] HostRange crypto_header() const { return {place_of(plan_.first_crypto()), luks_->header.payload}; }
  [[nodiscard]] Entry preallocated_entry(HostOffset host) const;

  [[nodiscard]] Plan plan() const;
  Result<void> reserve_data();
  Result<void> write_refcounts();
  Result<void> write_l1();
  Result<void> write_crypto_header();
  Result<void> write_l2_tables();
  Result<void> write_header();

  HostFile& file_;
  HostFile* data_file_;
  const CreateOptions& options_;
  const std::optional<crypto::NewLuks>& luks_;
  std::uint64_t cluster_;
  Plan plan_;
};

// The refcount structure covers itself: it grows until it is large enough.
Plan Creator::plan() const {
  Plan plan;
  plan.l1_table = ceil_divide(l1_entries() * 8, cluster_);
  if (luks_) plan.crypto_header = ceil_divide(luks_->header.payload.value(), cluster_);
  if (with_tables()) {
    plan.l2_tables = l1_entries();
    plan.data = options_.data_file_name ? 0 : guest_clusters();
  }
  const std::uint64_t counters_per_block = cluster_ * 8 / options_.refcount_bits;
  for (;;) {
    const std::uint64_t blocks = ceil_divide(plan.end(), counters_per_block);
    const std::uint64_t table = ceil_divide(blocks * 8, cluster_);
    if (blocks <= plan.refcount_blocks && table <= plan.refcount_table) return plan;
    plan.refcount_blocks = blocks;
    plan.refcount_table = table;
  }
}

// --- parts ----------------------------------------------------------------------------------------------------------

Result<void> write_zero_bytes(HostFile& file, HostRange range) {
  const std::vector<std::byte> zeroes(std::min<std::uint64_t>(range.length.value(), 1u << 20));
  while (!range.empty()) {
    const HostRange now = range.first(ByteCount(zeroes.size()));
    CHECK(file.write(now.begin, std::span(zeroes).first(now.length.value())));
    range = range.without_first(now.length);
  }
  return {};
}

Result<void> Creator::reserve_data() {
  HostFile& file = data_file_ != nullptr ? *data_file_ : file_;
  HostRange data{place_of(plan_.first_data()), ByteCount(plan_.data * cluster_)};
  if (data_file_ != nullptr) {
    data = {HostOffset(), options_.size};
    if (!data_file_->is_block_device()) CHECK(data_file_->resize(options_.size));
  }
  if (data.empty()) return {};
  if (options_.preallocation == Preallocation::Falloc) return file.reserve(data);
  if (options_.preallocation == Preallocation::Full) return write_zero_bytes(file, data);
  return {};
}

Result<void> Creator::write_refcounts() {
  std::vector<std::byte> table(plan_.refcount_table * cluster_);
  std::vector<std::byte> block(cluster_);
  const auto order = static_cast<unsigned>(std::countr_zero(options_.refcount_bits));
  const std::uint64_t per_block = cluster_ * 8 / options_.refcount_bits;
  for (std::uint64_t i = 0; i < plan_.refcount_blocks; ++i) {
    const HostOffset at = place_of(1 + plan_.refcount_table + i);
    store_be(std::span(table), i * 8, at.value());
    for (std::uint64_t j = 0; j < per_block; ++j)
      write_counter(block, j, order, i * per_block + j < plan_.end() ? 1 : 0);
    CHECK(file_.write(at, block));
  }
  return file_.write(place_of(1), table);
}

Result<void> Creator::write_l1() {
  std::vector<std::byte> table(plan_.l1_table * cluster_);
  for (std::uint64_t i = 0; i < plan_.l2_tables; ++i) {
    store_be(std::span(table), i * 8, place_of(plan_.first_l2() + i).value() | kCopied);
  }
  return table.empty() ? Result<void>() : file_.write(place_of(plan_.first_l1()), table);
}

Result<void> Creator::write_crypto_header() {
  if (!luks_) return {};
  const auto head = crypto::luks_header_bytes(luks_->header);
  CHECK(file_.write(crypto_header().begin, std::span<const std::byte>(head)));
  return file_.write(crypto_header().begin + luks_->header.slots[0].material, luks_->material);
}

// Subclusters stay unallocated: the backing file shows through. In a raw data file they are data, so that the file is
// right without the tables.
Entry Creator::preallocated_entry(HostOffset host) const {
  Entry entry{host.value() | kCopied, 0};
  const bool zero = options_.encryption.has_value();
  if (!options_.extended_l2) {
    entry.word |= zero ? kZeroFlag : 0;
  } else if (options_.raw_data_file) {
    entry.bitmap = zero ? kAllAllocatedBitmap << kSubclusters : kAllAllocatedBitmap;
  }
  return entry;
}

Result<void> Creator::write_l2_tables() {
  const std::uint64_t entries = cluster_ / entry_bytes();
  // In a data file the place is that of the guest.
  const std::uint64_t first = options_.data_file_name ? 0 : plan_.first_data();
  std::vector<std::byte> table(cluster_);
  for (std::uint64_t i = 0; i < plan_.l2_tables; ++i) {
    for (std::uint64_t j = 0; j < entries; ++j) {
      const std::uint64_t guest = i * entries + j;
      const Entry entry = guest < guest_clusters() ? preallocated_entry(place_of(first + guest)) : Entry{};
      store_be(std::span(table), j * entry_bytes(), entry.word);
      if (options_.extended_l2) store_be(std::span(table), j * 16 + 8, entry.bitmap);
    }
    CHECK(file_.write(place_of(plan_.first_l2() + i), table));
  }
  return {};
}

Result<void> Creator::write_header() {
  TablePlaces places;
  places.l1_entries = static_cast<std::uint32_t>(l1_entries());
  if (plan_.l1_table != 0) places.l1_table = place_of(plan_.first_l1());
  if (luks_) places.crypto_header = crypto_header();
  places.refcount_table = place_of(1);
  places.refcount_table_clusters = static_cast<std::uint32_t>(plan_.refcount_table);
  TRY(const std::vector<std::byte> cluster, header_cluster(options_, places));
  CHECK(file_.barrier());
  CHECK(file_.write(HostOffset(), cluster));
  return file_.barrier();
}

Result<void> Creator::create() {
  TablePlaces anywhere;
  if (luks_) anywhere.crypto_header = HostRange{};
  CHECK(header_cluster(options_, anywhere));  // before anything is changed
  plan_ = plan();
  const ByteCount bytes(plan_.end() * cluster_);
  if (file_.is_block_device()) {
    CHECK(file_.zero({HostOffset(), ByteCount(plan_.first_data() * cluster_)}, Space::Keep));
  } else {
    CHECK(file_.resize(bytes));
  }
  CHECK(reserve_data());
  if (data_file_ != nullptr) CHECK(data_file_->barrier());
  CHECK(write_l2_tables());
  CHECK(write_l1());
  CHECK(write_crypto_header());
  CHECK(write_refcounts());
  return write_header();
}

}  // namespace

Result<void> create(HostFile& file, HostFile* data_file, const CreateOptions& options) {
  CHECK(check_options(options));
  if (options.size.value() % 512 != 0) return fail(ErrorKind::BadUsage, "Image size must be a multiple of 512");
  std::optional<crypto::NewLuks> luks;
  if (options.encryption && options.encryption->method == EncryptionOptions::Method::Luks) {
    const EncryptionOptions& wanted = *options.encryption;
    TRY(luks, crypto::make_luks(wanted.algorithms, options.passphrase->bytes(), wanted.iteration_time));
  }
  return Creator(file, data_file, options, luks).create();
}

}  // namespace flatimg::qcow2
