#include "qcow1/check.h"

#include "codec/deflate.h"
#include "qcow1/census.h"
#include "qcow1/table_scan.h"

namespace flatimg::qcow1 {

namespace {

// A cluster at a time; what begins or ends behind the file has been found by the census.
class DataCheck {
 public:
  DataCheck(HostFile& file, const Header& header, ByteCount file_size, CheckReport& report)
      : file_(file), layout_(header), file_size_(file_size), report_(report) {}

  Result<void> look_at(GuestOffset guest, const Meaning& meaning) {
    if (meaning.kind != Kind::Compressed || meaning.length.is_zero()) return {};
    if (meaning.range().end().value() > file_size_.value()) return {};
    const auto stream = stream_.at_least(meaning.length.value());
    CHECK(file_.read(meaning.host, stream));
    if (inflate_exactly(stream, content_.at_least(layout_.cluster().value()))) return {};
    report_.corruption("guest byte {}: the compressed cluster at byte {} cannot be decoded", guest.value(),
                       meaning.host.value());
    return {};
  }

 private:
  HostFile& file_;
  const Layout layout_;
  ByteCount file_size_;
  CheckReport& report_;
  AlignedBuffer stream_;
  AlignedBuffer content_;
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
  const auto look = [&](GuestOffset guest, const Meaning& meaning) { return data.look_at(guest, meaning); };
  CHECK(TableScan(file, Layout(header)).walk(table, {.cluster = look, .progress = progress}));
  return report;
}

}  // namespace flatimg::qcow1
