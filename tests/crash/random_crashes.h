// Power cuts at every barrier of random workloads: what the crash tests of qcow and qcow2 images have in common. Each
// state opens for writing, shows each sector as it was at the last flush or as some later write made it, and can be
// worked on.
//
// FLATIMG_SEED and FLATIMG_ROUNDS choose other and more workloads.
#pragma once

#include <gtest/gtest.h>

#include "crash/crash_states.h"
#include "crash/sector_history.h"
#include "view/disk.h"

namespace flatimg::test {

/// A fixture is one of these beside being a Test.
class RandomCrashes {
 protected:
  virtual ~RandomCrashes() = default;

  /// Fills start_ and start_file_. Once for each seed.
  virtual void make_start(std::mt19937_64& random) = 0;
  /// The disk of the image in a file, for writing; nullptr and a failure when that cannot be.
  virtual std::unique_ptr<Disk> open(std::unique_ptr<HostFile> file) = 0;
  /// What is asked of the file of each state, and of what its disk shows.
  virtual void judge_file(MemoryFile& file) = 0;
  virtual void judge_content(const MemoryFile& /*file*/, std::span<const std::byte> /*content*/) {}

  /// Some workloads, `first_seed` and those that follow, with all of their crashes.
  void crash_workloads(std::uint64_t first_seed);

  std::vector<std::byte> start_;  // one value for each sector of the disk
  std::unique_ptr<MemoryFile> start_file_;
  std::uint64_t states_ = 0;  // so far

 private:
  void work_and_crash(std::mt19937_64& random);
  void judge(CrashState state, const SectorHistory& history);
};

}  // namespace flatimg::test
