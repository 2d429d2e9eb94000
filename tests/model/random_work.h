// Random operations on the disk of an image against plain bytes: what the model tests of all formats have in common.
//
// FLATIMG_SEED and FLATIMG_OPERATIONS choose other runs; the seed is printed with every failure.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <string>

#include "support/disk_model.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg::test {

/// A fixture is one of these beside being a Test. Functions report what goes wrong as fatal failures.
class RandomWork {
 protected:
  virtual ~RandomWork() = default;

  /// What a format does beside one_operation(), and how the image is judged when it is closed.
  virtual void operate() { one_operation(); }
  virtual void judge() = 0;

  /// Runs a line of shell in the directory of the test; it must succeed.
  void must_run(const std::string& line) const;
  [[nodiscard]] std::string path(const std::string& name) const { return dir_ / name; }
  /// A file with runs of data, of one value (which compress) and of zeroes.
  void write_random(const std::string& name, std::uint64_t size);
  void write(const std::string& name, const DiskModel& content) const;

  /// The disk is what this file holds.
  void load_model(const std::string& raw);
  /// Opens the image, works on it, compares all of it, closes it and judges: three times.
  void work_on(const std::string& image);

  void one_operation();

  TempDir dir_;
  const std::uint64_t seed_ = seed_of_this_run();
  std::mt19937_64 random_{seed_};
  std::optional<DiskModel> model_;
  std::unique_ptr<Disk> disk_;

 private:
  static std::uint64_t seed_of_this_run();
  void open(const std::string& image);
  void close();
  [[nodiscard]] GuestRange random_range();
  void write_something(GuestRange range);
  void zero(GuestRange range, Space space);
  void expect_equal(GuestRange range) const;
  void expect_holes_read_zero();
};

}  // namespace flatimg::test
