#include "qcow1/check.h"

#include "base/side_by_side.h"
#include "codec/deflate.h"
#include "qcow1/census.h"
#include "qcow1/table_scan.h"

namespace flatimg::qcow1 {

namespace {

constexpr std::size_t kBatch = 4096;

struct Stream {
  HostRange stored;
  GuestOffset guest;
  Result<void> decoded = {};
};

// What one thread decodes with.
class Decoder {
 public:
  Decoder(HostFile& file, ByteCount cluster) : file_(file), cluster_(cluster.value()) {
    (void)stream_.at_least(cluster_);  // before the thread begins: a shortage is an exception
    (void)content_.at_least(cluster_);
  }
  Result<void> decode(HostRange stored) {
    const auto stream = stream_.at_least(stored.length.value());
    CHECK(file_.read(stored.begin, stream));
    return inflate_exactly(stream, content_.at_least(cluster_));
  }

 private:
  HostFile& file_;
  std::size_t cluster_;
  AlignedBuffer stream_;
  AlignedBuffer content_;
};

// Compressed clusters, a batch at a time; what begins or ends behind the file has been found by the census.
class DataCheck {
 public:
  DataCheck(HostFile& file, const Header& header, ByteCount file_size, CheckReport& report)
      : file_size_(file_size), report_(report) {
    while (decoders_.size() < processors()) decoders_.emplace_back(file, header.cluster());
  }

  Result<void> add(GuestOffset guest, const Meaning& meaning) {
    if (meaning.kind != Kind::Compressed || meaning.length.is_zero()) return {};
    if (meaning.range().end().value() > file_size_.value()) return {};
    batch_.push_back({meaning.range(), guest});
    return batch_.size() < kBatch ? Result<void>() : decode_batch();
  }
  Result<void> decode_batch() {
    side_by_side(decoders_.size(), batch_.size(), [&](std::size_t thread, std::size_t n) {
      batch_[n].decoded = decoders_[thread].decode(batch_[n].stored);
    });
    for (const Stream& stream : batch_) {
      if (stream.decoded) continue;
      if (stream.decoded.error().kind != ErrorKind::CorruptImage) return Failure(stream.decoded.error());
      report_.corruption("guest byte {}: the compressed cluster at byte {} cannot be decoded", stream.guest.value(),
                         stream.stored.begin.value());
    }
    batch_.clear();
    return {};
  }

 private:
  ByteCount file_size_;
  CheckReport& report_;
  std::vector<Decoder> decoders_;
  std::vector<Stream> batch_;
};

}  // namespace

Result<CheckReport> check(HostFile& file, const Header& header, const Progress& progress) {
  TRY(const L1Table table, read_l1_table(file, header));
  TRY(const Census census, Census::take(file, header, table, progress));
  return census.report();
}

Result<CheckReport> with_data_checked(HostFile& file, const Header& header, CheckReport report,
                                      const Progress& progress) {
  TRY(const L1Table table, read_l1_table(file, header));
  TRY(const ByteCount size, file.size());
  DataCheck data(file, header, size, report);
  const auto add = [&](GuestOffset guest, const Meaning& meaning) { return data.add(guest, meaning); };
  CHECK(TableScan(file, Layout(header)).walk(table, {.cluster = add, .progress = part_of(progress, 0, 99)}));
  CHECK(data.decode_batch());
  tell(progress, 1, 1);
  return report;
}

}  // namespace flatimg::qcow1
