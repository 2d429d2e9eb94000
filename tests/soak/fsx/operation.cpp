#include "soak/fsx/operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <sstream>

namespace flatimg::test::fsx {

std::string text_of(const Operation& operation) {
  return fmt::format("{} {}+{} #{}", kNames[static_cast<std::size_t>(operation.kind)], operation.at, operation.length,
                     operation.number);
}

std::optional<Operation> parse(const std::string& line) {
  std::istringstream words(line);
  std::string name;
  char plus = 0;
  char hash = 0;
  Operation operation;
  words >> name >> operation.at >> plus >> operation.length >> hash >> operation.number;
  const auto* const known = std::find(kNames.begin(), kNames.end(), name);
  if (words.fail() || plus != '+' || hash != '#' || known == kNames.end()) return std::nullopt;
  operation.kind = static_cast<Kind>(known - kNames.begin());
  return operation;
}

std::byte byte_written(const Operation& operation, std::uint64_t place) {
  const std::uint64_t sort = operation.number % 8;
  if (sort == 0) return std::byte{0};
  if (sort == 1) return static_cast<std::byte>(operation.number / 8 % 255 + 1);
  const std::uint64_t word = (operation.number * 0x9e3779b97f4a7c15u + place / 8) * 0xbf58476d1ce4e5b9u;
  return static_cast<std::byte>((word ^ word >> 29) >> place % 8 * 8);
}

namespace {

constexpr std::uint64_t kDirectGrain = 4096;  // bytes: what O_DIRECT takes everywhere

struct Weight {
  Kind kind;
  unsigned weight;
};

constexpr std::array kWeights = {
    Weight{Kind::Read, 120},  Weight{Kind::DirectRead, 40},  Weight{Kind::MappedRead, 40},
    Weight{Kind::Write, 200}, Weight{Kind::DirectWrite, 60}, Weight{Kind::MappedWrite, 60},
    Weight{Kind::Punch, 50},  Weight{Kind::ZeroRange, 50},   Weight{Kind::Allocate, 15},
    Weight{Kind::Seek, 40},   Weight{Kind::Sync, 40},        Weight{Kind::DropCaches, 30},
    Weight{Kind::Reopen, 12}, Weight{Kind::Remount, 4},      Weight{Kind::Resize, 12},
    Weight{Kind::ReadAll, 3},
};

class Dice {
 public:
  Dice(std::uint64_t seed, const Bounds& bounds) : random_(seed), bounds_(bounds) {
    for (const Weight& one : kWeights) {
      const auto& out = bounds.left_out;
      if (std::find(out.begin(), out.end(), one.kind) != out.end()) continue;
      const bool always = one.kind == Kind::Write || one.kind == Kind::Read || one.kind == Kind::Remount;
      if (!always && random_() % 6 == 0) continue;  // what one kind hides, its absence shows
      weights_.push_back(one);
      total_ += one.weight;
    }
  }

  Operation next(std::uint64_t number) {
    Operation operation{kind(), 0, length(), number};
    if (operation.kind == Kind::Resize) {
      operation.at = (bounds_.size / 4 + random_() % bounds_.size) / 512 * 512;
      operation.length = 0;
      return operation;
    }
    const std::uint64_t grain = grain_of(operation.kind);
    operation.length = (operation.length + grain - 1) / grain * grain;
    operation.at = place() / grain * grain;
    return operation;
  }

 private:
  Kind kind() {
    unsigned left = static_cast<unsigned>(random_() % total_);
    for (const Weight& one : weights_) {
      if (left < one.weight) return one.kind;
      left -= one.weight;
    }
    return Kind::Read;
  }
  // Of every magnitude alike, sometimes a power of two.
  std::uint64_t length() {
    const std::uint64_t most = std::uint64_t{1} << random_() % 20;
    return random_() % 3 == 0 ? most : 1 + random_() % most;
  }
  // Half of them in one small area, so that operations meet; some at round places.
  std::uint64_t place() {
    const std::uint64_t hot = std::min<std::uint64_t>(bounds_.size, 256 * 1024);
    const std::uint64_t at =
        random_() % 2 == 0 ? bounds_.size / 2 / hot * hot + random_() % hot : random_() % bounds_.size;
    return random_() % 3 == 0 ? at / 4096 * 4096 : at;
  }
  [[nodiscard]] std::uint64_t grain_of(Kind kind) const {
    switch (kind) {
      case Kind::DirectRead:
      case Kind::DirectWrite:
        return kDirectGrain;
      case Kind::Punch:
      case Kind::ZeroRange:
      case Kind::Allocate:
        return bounds_.grain;
      default:
        return 1;
    }
  }

  std::mt19937_64 random_;
  const Bounds& bounds_;
  std::vector<Weight> weights_;
  unsigned total_ = 0;
};

}  // namespace

std::vector<Operation> random_run(std::uint64_t seed, const Bounds& bounds, std::size_t count) {
  Dice dice(seed, bounds);
  std::vector<Operation> run;
  for (std::size_t n = 0; n < count; ++n) run.push_back(dice.next(n));
  return run;
}

}  // namespace flatimg::test::fsx
