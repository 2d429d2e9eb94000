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
  const Layout layout(header);
  DataCheck data(file, header, size, report);
  TableScan scan(file);
  for (std::uint64_t index = 0; index < table.words.size(); ++index) {
    tell(progress, index, table.words.size());
    if (table.words[index] == 0) continue;
    const GuestOffset first(index * layout.span().value());
    CHECK(scan.entries(HostOffset(table.words[index]), layout, [&](std::uint64_t nth, std::uint64_t entry) {
      return data.look_at(first + layout.cluster() * nth, layout.meaning(entry));
    }));
  }
  tell(progress, 1, 1);
  return report;
}

}  // namespace flatimg::qcow1
