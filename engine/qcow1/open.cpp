// Qcow1Image: reading the tables and judging them, before anything is written; and what happens at the first write.
//
// Refused at open, for reading too: an L1 table whose entries cannot be tables (l1_table.h), and data behind the end of
// the file as far as a bounded look shows it. An image that is to be written is walked as a whole, because space is
// found behind the end of what is used: when tables contradict each other it is opened for reading only.
#include <algorithm>
#include <bit>

#include "base/text.h"
#include "qcow1/census.h"
#include "qcow1/qcow1_image.h"

namespace flatimg::qcow1 {

namespace {

constexpr ByteCount kLargestPage{4096};

ByteCount decoded_share(ByteCount cache) { return ByteCount(cache.value() / 4); }
ByteCount kept_share(ByteCount cache) { return ByteCount(cache.value() / 16 * 3); }  // the rest is being decoded

// Pages are aligned, so they are no larger than the alignment of any table that is there or may come.
ByteCount page_size(const Header& header, const L1Table& table) {
  ByteCount page = std::min({kLargestPage, header.cluster(), header.l2_bytes()});
  for (const std::uint64_t word : table.words) {
    if (word != 0) page = std::min(page, ByteCount(word & (~word + 1)));  // the lowest bit that is set
  }
  return page;
}

}  // namespace

Qcow1Image::Qcow1Image(std::unique_ptr<HostFile> file, Header header, const L1Table& table, Image* below,
                       const OpenOptions& options)
    : file_(std::move(file)),
      below_(below),
      header_(std::move(header)),
      layout_(header_),
      l1_order_(table.order),
      extents_(in_extents(header_, table)),
      tables_(static_cast<std::uint64_t>(std::ranges::count_if(table.words, [](auto word) { return word != 0; }))),
      l2_(*file_, page_size(header_, table), options.cache_size - decoded_share(options.cache_size)),
      free_space_(*file_, layout_.cluster()),
      blocks_(decoded_share(options.cache_size)),
      decoded_(kept_share(options.cache_size)),
      flusher_([this] { return write_back(); }, options.flush_interval) {
  traits_.format = "qcow";
  traits_.unit = layout_.cluster();
  traits_.granule = layout_.cluster();
  traits_.writable = options.writable;
  traits_.has_below = below_ != nullptr;
}

Result<std::unique_ptr<const Encryption>> Qcow1Image::encryption_of(const HostFile& file, const Header& header,
                                                                    const OpenOptions& options) {
  if (header.crypt_method == 0) return std::unique_ptr<const Encryption>();
  if (options.content == Content::NotNeeded) return Encryption::locked();
  if (options.passphrase == nullptr) {
    return fail(ErrorKind::Denied, "{}: the image is encrypted: give its passphrase with key-file=FILE (--key-file)",
                shown(file.name()));
  }
  return Encryption::open(*options.passphrase);
}

Result<std::unique_ptr<Qcow1Image>> Qcow1Image::open(std::unique_ptr<HostFile> file, Header header, Image* below,
                                                     OpenOptions options) {
  TRY(auto encryption, encryption_of(*file, header, options));
  TRY(const L1Table table, read_l1_table(*file, header));
  CHECK(check_data_lies_in_file(*file, header, table));
  std::unique_ptr<Qcow1Image> image(new Qcow1Image(std::move(file), std::move(header), table, below, options));
  image->encryption_ = std::move(encryption);
  image->traits_.enciphered = image->encryption_ != nullptr;
  CHECK(image->load(table));
  return image;
}

Result<void> Qcow1Image::load(const L1Table& table) {
  TRY(const ByteCount size, file_->size());
  first_end_ = HostOffset(size.value());
  l1_.fill(header_.l1_table, table.words);
  if (!traits_.writable) return {};
  CHECK(prepare_writing(table));
  if (traits_.writable) flusher_.start();
  return {};
}

// A word of a table that is not aligned to words may be torn by a power cut: nobody makes such tables.
Result<void> Qcow1Image::prepare_writing(const L1Table& table) {
  TRY(const Census census, Census::take(*file_, header_, table));
  if (census.corruptions() > 0) {
    traits_.read_only_reason = "its tables contradict each other: see flatimg check";
  } else if (header_.l1_table.value() % 8 != 0) {
    traits_.read_only_reason = "its L1 table is not aligned to 8 bytes";
  }
  traits_.writable = traits_.read_only_reason.empty();
  if (!traits_.writable) return {};
  {
    const MutexLock lock(tables_mutex_);
    reserved_tables_.resize(l1_.size());
  }
  return free_space_.begin(census.used_end());
}

Result<void> Qcow1Image::begin_writing() {
  if (writing_begun_.load(std::memory_order_acquire)) return {};
  const MutexLock lock(tables_mutex_);
  if (writing_begun_.load(std::memory_order_relaxed)) return {};
  assert(traits_.writable);
  if (l1_order_ == ByteOrder::Little) CHECK(convert_l1());
  writing_begun_.store(true, std::memory_order_release);
  return {};
}

}  // namespace flatimg::qcow1
