#include "qcow2/plain_zeroes.h"

#include "qcow2/l2_census.h"
#include "qcow2/piece_edit.h"
#include "qcow2/table_scan.h"

namespace flatimg::qcow2 {

namespace {

class Straightening {
 public:
  Straightening(HostFile& file, const Header& header, TableScan scan)
      : file_(file), header_(header), layout_(header), scan_(std::move(scan)) {}

  Result<void> table(const L2Use& table) {
    const HostRange place{table.at, layout_.cluster()};
    return scan_.pieces(place, [&](ByteCount from, std::span<const std::byte> bytes) -> Result<void> {
      PieceEdit edit(table.at + from, bytes);
      piece(edit);
      return edit.write_to(file_);
    });
  }
  [[nodiscard]] std::uint64_t straightened() const { return straightened_; }

 private:
  [[nodiscard]] bool is_misplaced_zero(Entry entry) const {
    return !Layout::is_compressed(entry) && (entry.word & kOffsetMask) % layout_.cluster().value() != 0 &&
           reserves_only(header_, entry);
  }

  // Extended entries say in their bitmap what reads as zeroes: without a host cluster it says the same.
  void piece(PieceEdit& edit) {
    for (std::size_t at = 0; at < edit.size(); at += layout_.words_per_entry() * 8) {
      const Entry entry{edit.word(at), layout_.extended() ? edit.word(at + 8) : 0};
      if (!is_misplaced_zero(entry)) continue;
      edit.set(at, layout_.extended() ? 0 : kZeroFlag);
      ++straightened_;
    }
  }

  HostFile& file_;
  const Header& header_;
  const Layout layout_;
  TableScan scan_;
  std::uint64_t straightened_ = 0;
};

}  // namespace

Result<std::uint64_t> make_plain_zeroes(HostFile& file, const Header& header, const Census& census) {
  TRY(TableScan scan, TableScan::of(file));
  Straightening straightening(file, header, std::move(scan));
  for (const L2Use& table : census.l2_tables) {
    if (table.alone) CHECK(straightening.table(table));
  }
  return straightening.straightened();
}

}  // namespace flatimg::qcow2
