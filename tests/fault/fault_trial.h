// A failure at every host call: a fixed workload runs on a disk whose files' k-th call fails, for every k, each error,
// once and for ever, before anything happened and in the middle. Afterwards
//   - every operation has failed or succeeded honestly: what was acknowledged is there, what failed is old or new;
//   - the image has no errors, opens for writing, and shows what was flushed (promises R1, R2, R5, R6);
//   - a single failure is over when it is over, but after a failed barrier nothing is promised any more, and reads go
//   on.
//
// FLATIMG_FAULTS=all takes more errors; FLATIMG_SEED chooses another workload.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fault/workload.h"
#include "host/sticky_file.h"
#include "support/faulty_file.h"
#include "support/image_oracle.h"
#include "support/memory_file.h"
#include "view/disk.h"

namespace flatimg::test {

/// The files of a disk, each with a place of its own; some may be missing.
using Files = std::vector<std::shared_ptr<MemoryFile>>;
[[nodiscard]] Files copies_of(const Files& files);

/// The file whose calls fail, and how; nothing is planned when it is only to be counted.
struct Victim {
  std::size_t file = 0;  // in Files
  std::optional<FaultyFile::Fault> fault = {};
};

/// Gives the files of a disk to the formats as the catalog does, and plans the fault of one of them.
class Dresser {
 public:
  Dresser(const Files& files, const Victim& victim) : files_(files), victim_(victim) {}
  /// Files that share `memory` fail together (sticky_file.h). nullptr when there is no such file.
  [[nodiscard]] std::unique_ptr<HostFile> dressed(std::size_t file,
                                                  std::shared_ptr<BarrierMemory> memory = new_barrier_memory());
  /// Stays when the format has let go of it; nullptr when it was not asked for.
  [[nodiscard]] FaultyFile* victim() const { return faulty_.get(); }

 private:
  const Files& files_;
  const Victim& victim_;
  std::shared_ptr<FaultyFile> faulty_;
};

/// A disk of some format, which is tried.
class Subject {
 public:
  virtual ~Subject() = default;
  /// What every trial begins with a copy of.
  [[nodiscard]] virtual const Files& files() const = 0;
  /// The value of each sector of the disk then.
  [[nodiscard]] virtual const std::vector<std::byte>& sectors() const = 0;
  /// For writing, without a flush that nobody asked for.
  virtual Result<std::unique_ptr<Disk>> open(Dresser& files) = 0;
  /// What the format's own check says of files that nobody has open.
  virtual void expect_no_errors(const Files& files, Leaks leaks) = 0;
  /// An opening that fails may have changed the files (refcounts are made anew).
  [[nodiscard]] virtual bool opening_writes() const { return false; }
};

/// Without faults.
[[nodiscard]] Result<std::unique_ptr<Disk>> open_sound(Subject& subject, const Files& files);
[[nodiscard]] std::unique_ptr<Disk> disk_of(std::unique_ptr<Image> top, std::unique_ptr<Image> below = nullptr);

/// Fails the calls of each file in turn, every `stride`-th of them, and keeps the figures.
void fail_every_call(Subject& subject, std::uint64_t stride = 1);

}  // namespace flatimg::test
