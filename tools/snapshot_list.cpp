#include "tools/snapshot_list.h"

#include <array>
#include <ctime>

#include "base/text.h"
#include "tools/image_options.h"

namespace flatimg::tools {

namespace {

constexpr std::uint64_t kNanoseconds = 1'000'000'000;

std::string clock_text(std::uint64_t nanoseconds) {
  const std::uint64_t seconds = nanoseconds / kNanoseconds;
  return fmt::format("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60,
                     nanoseconds % kNanoseconds / 1'000'000);
}

std::string date_text(std::uint32_t seconds) {
  const std::time_t moment = seconds;
  std::tm parts{};
  ::localtime_r(&moment, &parts);
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

}  // namespace

void print_snapshot_list(const std::vector<SnapshotInfo>& snapshots) {
  if (snapshots.empty()) return;
  constexpr const char* kRow = "{:<9} {:<16} {:>8}{:>20}{:>13}{:>11}\n";
  fmt::print("Snapshot list:\n");
  fmt::print(fmt::runtime(kRow), "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
  for (const SnapshotInfo& snapshot : snapshots) {
    const std::string icount = snapshot.icount ? std::to_string(*snapshot.icount) : std::string();
    fmt::print(fmt::runtime(kRow), shown(snapshot.id), shown(snapshot.name), short_size(snapshot.vm_state_size),
               date_text(snapshot.date_seconds), clock_text(snapshot.vm_clock_nanoseconds), icount);
  }
}

nlohmann::ordered_json snapshot_json(const SnapshotInfo& snapshot) {
  nlohmann::ordered_json object{{"id", snapshot.id},
                                {"name", snapshot.name},
                                {"vm-state-size", snapshot.vm_state_size.value()},
                                {"date-sec", snapshot.date_seconds},
                                {"date-nsec", snapshot.date_nanoseconds},
                                {"vm-clock-sec", snapshot.vm_clock_nanoseconds / kNanoseconds},
                                {"vm-clock-nsec", snapshot.vm_clock_nanoseconds % kNanoseconds}};
  if (snapshot.icount) object["icount"] = *snapshot.icount;
  return object;
}

}  // namespace flatimg::tools
