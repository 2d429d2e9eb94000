// Who uses which bytes of the file, found by walking every L2 table: what `check` tells, and what has to be known
// before anything is written, because the format counts nothing and its space is found at the end of what is used.
//
// Reads only, and only what is data in the file: tables in holes cost nothing. Time and memory follow the tables that
// are really there; neighbouring clusters take one record.
#pragma once

#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "image/report.h"
#include "qcow1/l1_table.h"
#include "qcow1/layout.h"

namespace flatimg {
class HostFile;
}

namespace flatimg::qcow1 {

class Census {
 public:
  /// Walks all tables. Fails only where the host cannot read, or where there is more than can be kept in mind.
  static Result<Census> take(HostFile& file, const Header& header, const L1Table& table, const Progress& progress = {});

  [[nodiscard]] const CheckReport& report() const { return report_; }
  [[nodiscard]] std::uint64_t corruptions() const { return report_.corruptions; }
  /// Behind everything that is used, tables and header included.
  [[nodiscard]] HostOffset used_end() const { return used_end_; }

 private:
  struct Use {
    HostOffset begin;
    HostOffset end;
    GuestOffset guest;  // of data
    enum class What : unsigned char { Table, Data } what = What::Data;
  };

  Census(HostFile& file, const Header& header, const L1Table& table)
      : file_(file), header_(header), table_(table), layout_(header) {}
  Result<void> walk(const Progress& progress);
  Result<void> note(GuestOffset guest, const Meaning& meaning);
  Result<void> note_data(GuestOffset guest, const Meaning& meaning);
  Result<void> use(Use use);
  void find_overlaps();
  [[nodiscard]] std::string name_of(const Use& use) const;

  HostFile& file_;
  const Header& header_;
  const L1Table& table_;
  const Layout layout_;
  ByteCount file_size_;
  HostOffset used_end_;
  std::vector<Use> uses_;
  std::optional<HostOffset> expected_;  // where the next data cluster would lie behind the one before
  CheckReport report_;
};

/// A bounded look at the tables: InvalidImage when data is said to lie behind the end of the file. An image that was
/// cut off should be refused, not fail when it is read.
Result<void> check_data_lies_in_file(HostFile& file, const Header& header, const L1Table& table);

}  // namespace flatimg::qcow1
