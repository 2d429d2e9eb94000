#include "crash/short_workloads.h"

#include <fmt/format.h>

#include <array>

namespace flatimg::test {

namespace {

constexpr std::array<std::string_view, 11> kNames{"write",  "write part", "write across",    "zero",
                                                  "zero part", "discard",    "flush",           "grow",
                                                  "shrink", "create snapshot", "delete snapshot"};

}  // namespace

std::string name_of(const ShortStep& step) {
  const std::string_view name = kNames[static_cast<std::size_t>(step.deed)];
  return has_place(step.deed) ? fmt::format("{} {}", name, step.cluster) : std::string(name);
}

std::string name_of(const std::vector<ShortStep>& workload) {
  std::string names;
  for (const ShortStep& step : workload) names += (names.empty() ? "" : ", ") + name_of(step);
  return names;
}

std::vector<ShortStep> all_steps(const std::vector<std::uint64_t>& clusters) {
  std::vector<ShortStep> steps;
  for (std::size_t deed = 0; deed < kNames.size(); ++deed) {
    const auto what = static_cast<Deed>(deed);
    if (!has_place(what)) {
      steps.push_back({what, 0});
      continue;
    }
    for (const std::uint64_t cluster : clusters) steps.push_back({what, cluster});
  }
  return steps;
}

std::vector<ShortStep> workload(const std::vector<ShortStep>& steps, unsigned length, std::uint64_t number) {
  std::vector<ShortStep> chosen;
  for (unsigned n = 0; n < length; ++n) {
    chosen.push_back(steps[number % steps.size()]);
    number /= steps.size();
  }
  return chosen;
}

}  // namespace flatimg::test
