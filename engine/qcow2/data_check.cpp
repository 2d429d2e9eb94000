#include "qcow2/data_check.h"

#include <unordered_set>

#include "base/checked.h"
#include "base/endian.h"
#include "base/limits.h"
#include "base/side_by_side.h"
#include "base/text.h"
#include "codec/deflate.h"
#include "codec/zstd.h"
#include "qcow2/header.h"
#include "qcow2/layout.h"
#include "qcow2/snapshot_table.h"
#include "qcow2/table_scan.h"

namespace flatimg::qcow2 {

namespace {

constexpr std::size_t kBatch = 4096;

struct Stream {
  CompressedRange range;
  GuestOffset guest;
  std::string owner;  // "" for the disk, else the snapshot
  Result<void> decoded = {};
};

// What one thread decodes into.
class Decoder {
 public:
  Decoder(HostFile& file, const Header& header)
      : file_(file), compression_(header.compression), cluster_(header.cluster().value()) {
    (void)stream_.at_least(2 * cluster_ + 1024);  // before the thread begins: a shortage is an exception
    (void)content_.at_least(cluster_);
  }
  Result<void> decode(CompressedRange range) {
    const auto stream = stream_.at_least(range.length.value());
    CHECK(file_.read(range.at, stream));
    const auto content = content_.at_least(cluster_);
    return compression_ == Compression::Zstd ? inflate_zstd_exactly(stream, content) : inflate_exactly(stream, content);
  }

 private:
  HostFile& file_;
  Compression compression_;
  std::size_t cluster_;
  AlignedBuffer stream_;
  AlignedBuffer content_;
};

class DataCheck {
 public:
  struct Telling {
    Progress progress;
    std::uint64_t expected = 0;  // clusters of the disk; those of snapshots are not known before
  };
  DataCheck(HostFile& file, const Header& header, TableScan scan, ByteCount file_size, Telling telling)
      : layout_(header), scan_(std::move(scan)), file_size_(file_size), telling_(std::move(telling)) {
    while (decoders_.size() < processors()) decoders_.emplace_back(file, header);
  }

  Result<void> walk_l1(HostOffset at, std::uint32_t entries, const std::string& owner);
  Result<void> decode_batch();
  [[nodiscard]] const CheckReport& findings() const { return findings_; }

 private:
  Result<void> walk_l2(HostOffset at, GuestOffset guest, const std::string& owner);
  Result<void> note_entry(std::uint64_t word, GuestOffset guest, const std::string& owner);

  const Layout layout_;
  TableScan scan_;
  ByteCount file_size_;
  const Telling telling_;
  std::uint64_t decoded_ = 0;
  std::unordered_set<std::uint64_t> walked_;  // L2 tables
  std::vector<Decoder> decoders_;
  std::vector<Stream> batch_;
  CheckReport findings_;
};

// What begins beyond the end of the file has been found by the walk of the tables.
Result<void> DataCheck::note_entry(std::uint64_t word, GuestOffset guest, const std::string& owner) {
  if (!Layout::is_compressed({word, 0})) return {};
  const CompressedRange range = layout_.compressed_range({word, 0});
  if (range.at.value() >= file_size_.value()) return {};
  batch_.push_back({range, guest, owner});
  return batch_.size() < kBatch ? Result<void>() : decode_batch();
}

Result<void> DataCheck::walk_l2(HostOffset at, GuestOffset guest, const std::string& owner) {
  const std::uint64_t entry_bytes = layout_.words_per_entry() * 8;
  return scan_.pieces({at, layout_.cluster()}, [&](ByteCount from, std::span<const std::byte> piece) -> Result<void> {
    for (std::size_t byte = 0; byte < piece.size(); byte += entry_bytes) {
      const std::uint64_t index = (from.value() + byte) / entry_bytes;
      CHECK(note_entry(load_be<std::uint64_t>(piece, byte), guest + layout_.cluster() * index, owner));
    }
    return {};
  });
}

Result<void> DataCheck::walk_l1(HostOffset at, std::uint32_t entries, const std::string& owner) {
  std::vector<std::pair<std::uint64_t, HostOffset>> tables;
  const HostRange l1{at, align_up(ByteCount(entries) * 8, 512_B)};
  CHECK(scan_.pieces(l1, [&](ByteCount from, std::span<const std::byte> piece) -> Result<void> {
    for (std::size_t byte = 0; byte < piece.size(); byte += 8) {
      const std::uint64_t index = (from.value() + byte) / 8;
      const std::uint64_t table = load_be<std::uint64_t>(piece, byte) & kOffsetMask;
      const bool sane = table != 0 && table % layout_.cluster().value() == 0;
      if (index < entries && sane && walked_.insert(table).second) tables.emplace_back(index, HostOffset(table));
    }
    return {};
  }));
  for (const auto& [index, table] : tables) CHECK(walk_l2(table, GuestOffset(layout_.span().value() * index), owner));
  return {};
}

Result<void> DataCheck::decode_batch() {
  side_by_side(decoders_.size(), batch_.size(), [&](std::size_t thread, std::size_t n) {
    batch_[n].decoded = decoders_[thread].decode(batch_[n].range);
  });
  decoded_ += batch_.size();
  tell(telling_.progress, decoded_, telling_.expected);
  for (const Stream& stream : batch_) {
    if (stream.decoded) continue;
    const Error& error = stream.decoded.error();
    if (error.kind != ErrorKind::CorruptImage) return Failure(error);
    findings_.corruption("the compressed cluster at guest byte {:#x}{}, stored at byte {:#x}, cannot be decoded: {}",
                         stream.guest.value(), stream.owner, stream.range.at.value(), error.text);
  }
  batch_.clear();
  return {};
}

CheckReport merged(CheckReport report, const CheckReport& findings) {
  report.corruptions += findings.corruptions;
  report.untold += findings.untold;
  report.sentences.insert(report.sentences.end(), findings.sentences.begin(), findings.sentences.end());
  return report;
}

}  // namespace

Result<CheckReport> with_data_checked(HostFile& file, const Header& header, CheckReport report,
                                      const Progress& progress) {
  if (header.has(incompatible::kDataFile)) return report;  // has no compressed clusters
  TRY(TableScan scan, TableScan::of(file));
  TRY(const ByteCount size, file.size());
  TRY(const SnapshotTable snapshots, read_snapshot_table(file, header));
  DataCheck check(file, header, std::move(scan), size, {progress, report.compressed_clusters});
  CHECK(check.walk_l1(header.l1_table, header.l1_entries, ""));
  for (const Snapshot& snapshot : snapshots.snapshots) {
    const bool usable =
        (snapshot.l1_table % header.cluster()).is_zero() && ByteCount(snapshot.l1_entries) * 8 <= limits::kQcow2L1Table;
    if (usable) CHECK(check.walk_l1(snapshot.l1_table, snapshot.l1_entries, " of snapshot " + shown(snapshot.id)));
  }
  CHECK(check.decode_batch());
  return merged(std::move(report), check.findings());
}

}  // namespace flatimg::qcow2
