// One pass of an audit over the active tables of an image that is in use (image/audit.h), a page of an L2 table at a
// time.
//
//   phase    | a step looks at                                     | then
//   ---------+-----------------------------------------------------+------------------------------------
//   Entries  | the entries of one page of an L2 table, as long as  | the next page; Counters at the end
//            | their counters lie in a few pages                   |
//   Counters | a page of counters: what nobody mentions is a leak  | Done
//   Done     |                                                     |
//
// Why what it sees is true although others write meanwhile:
//   1. Entries of a range change only while it is held as Change, and the step has it as Use. An L1 entry, and with it
//      the place of the page, changes under tables_mutex_, or with the whole disk held as Change.
//   2. A counter is raised before an entry mentions the cluster and lowered behind the flush that removed the mention;
//      so an entry that is there has its counter, in memory. COPIED is set where an entry gets a cluster of its own,
//      and counters of such clusters rise only when a snapshot is taken, with the whole disk held as Change.
//   3. A cluster is given away again only when it was free in between, and SeenClusters hears of that. A snapshot that
//      is taken, applied or deleted ends the pass.
//   4. What is not in memory equals the disk, because a page that waits to be written stays in memory.
// Whatever contradicts is looked at twice, the second time from the L1 entry on, before anybody is accused.
//
// Not contradictions: leaks (they are counted, in an image without snapshots that fits into the window), a COPIED flag
// that is missing, and whatever only a snapshot mentions.
#pragma once

#include "image/audit.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

class Qcow2Image::TableAudit final : public Audit {
 public:
  /// Looks for clusters that are named twice within `window`.
  TableAudit(Qcow2Image& image, ClusterRun window);
  ~TableAudit() override;

  [[nodiscard]] GuestRange next() const override;
  Result<void> step() override;

 private:
  enum class Phase { Entries, Counters, Done };
  struct Found {
    std::uint64_t judged = 0;  // entries, from the first one on
    bool no_table = false;     // none of them is there
    bool aborted = false;      // a snapshot has changed over to other tables
    std::string contradiction = {};  // of the entry behind those
  };

  [[nodiscard]] GuestRange rest_of_page() const;
  [[nodiscard]] std::uint64_t entries_in_page() const;
  Result<void> look_at_entries(GuestRange page);
  Result<Found> look(std::uint64_t entries);
  Result<Found> read_page();
  Result<void> copy_page(HostOffset table);
  [[nodiscard]] Entry entry(std::uint64_t nth) const;
  Result<Found> judge(std::uint64_t entries);
  Result<Found> judge_mentions(Found found, std::span<const FreeSpace::Mention> mentions,
                               std::span<const std::uint64_t> entries);
  [[nodiscard]] std::string contradiction_in(Entry entry) const;
  [[nodiscard]] std::optional<FreeSpace::Mention> mention_of(Entry entry) const;
  void skip_tables_that_are_not_there();
  [[nodiscard]] bool may_count_leaks() const;
  Result<void> count_leaks();
  void finish();

  Qcow2Image& image_;
  const ClusterRun window_;
  Phase phase_ = Phase::Entries;
  GuestOffset at_;  // the entry that is looked at next
  std::vector<std::uint64_t> words_;  // its page
  AlignedBuffer memory_;
  QuietPage counters_;
  const std::uint64_t writes_before_;
  std::uint64_t counted_to_;  // by cluster, in Counters
  std::uint64_t leaks_ = 0;
};

}  // namespace flatimg::qcow2
