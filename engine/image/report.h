// Plain data that images tell about themselves.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/units.h"

namespace flatimg {

/// The verdict of a check. Fields and classes, and what counts as one finding, as `qemu-img check` has them, so that
/// both tools give the same numbers.
struct CheckReport {
  std::uint64_t corruptions = 0;         // data may be or become wrong
  std::uint64_t leaks = 0;               // clusters that are counted more often than they are used: space, not data
  std::uint64_t check_errors = 0;        // places that could not be judged
  ByteCount image_end;                   // the end of the last cluster that is used or counted
  std::uint64_t total_clusters = 0;      // of the virtual disk
  std::uint64_t allocated_clusters = 0;  // of those, with host space
  std::uint64_t fragmented_clusters = 0;
  std::uint64_t compressed_clusters = 0;
  std::vector<std::string> sentences;  // one for each finding, up to a limit
  std::uint64_t untold = 0;            // findings beyond the limit

  static constexpr std::size_t kMostSentences = 200;

  /// `times` corruptions of one kind in one place, and one sentence.
  template <class... Args>
  void corruption(std::uint64_t times, fmt::format_string<Args...> format, Args&&... args) {
    corruptions += times;
    tell_as("ERROR: ", format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void corruption(fmt::format_string<Args...> format, Args&&... args) {
    corruption(1, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void leak(fmt::format_string<Args...> format, Args&&... args) {
    ++leaks;
    tell_as("leaked: ", format, std::forward<Args>(args)...);
  }
  /// Something could not be judged at all.
  template <class... Args>
  void unjudged(fmt::format_string<Args...> format, Args&&... args) {
    ++check_errors;
    tell_as("ERROR: ", format, std::forward<Args>(args)...);
  }
  /// A sentence without a class. Beyond the limit none is made, only counted.
  template <class... Args>
  void tell(fmt::format_string<Args...> format, Args&&... args) {
    tell_as("", format, std::forward<Args>(args)...);
  }

  [[nodiscard]] bool is_clean() const { return corruptions == 0 && leaks == 0 && check_errors == 0; }

 private:
  template <class... Args>
  void tell_as(std::string_view prefix, fmt::format_string<Args...> format, Args&&... args) {
    if (sentences.size() >= kMostSentences) {
      ++untold;
      return;
    }
    sentences.push_back(fmt::format("{}{}", prefix, fmt::format(format, std::forward<Args>(args)...)));
  }
};

/// What a repair may change, as qemu-img check -r has it.
enum class RepairScope {
  Leaks,  // counters that are too high: space only
  All,
};

/// What a repair found, did and left.
struct RepairReport {
  CheckReport found;
  std::uint64_t corruptions_fixed = 0;
  std::uint64_t leaks_fixed = 0;
  CheckReport left;  // the verdict of a check behind the repair
};

// --- what an image says of itself -----------------------------------------------------------------------------------

struct InfoField;
/// A value of a report that only the format understands: the tools print it as it is.
struct InfoValue {
  std::variant<bool, std::uint64_t, std::string, std::vector<InfoField>, std::vector<InfoValue>> value;
};
struct InfoField {
  std::string name;  // as qemu-img spells it
  InfoValue value;
};
using InfoFields = std::vector<InfoField>;
using InfoList = std::vector<InfoValue>;

struct SnapshotInfo {
  std::string id;
  std::string name;
  ByteCount vm_state_size;
  std::uint32_t date_seconds = 0;
  std::uint32_t date_nanoseconds = 0;
  std::uint64_t vm_clock_nanoseconds = 0;
  std::optional<std::uint64_t> icount;
};

/// A snapshot to be taken now.
[[nodiscard]] SnapshotInfo snapshot_now(std::string name);

struct ImageInfo {
  std::string filename;  // as it was given
  std::string format;
  ByteCount virtual_size;
  ByteCount actual_size;  // what the file occupies on the host
  std::optional<ByteCount> cluster_size;
  bool dirty = false;
  bool corrupt = false;  // it is marked as corrupt
  bool encrypted = false;
  std::optional<std::string> backing_name;       // as the image spells it
  std::optional<std::string> full_backing_name;  // where that leads
  std::optional<std::string> backing_format;
  std::vector<SnapshotInfo> snapshots;
  InfoFields details;  // of the format; empty where it has none
};

using Counters = std::vector<std::pair<std::string, std::uint64_t>>;

}  // namespace flatimg
