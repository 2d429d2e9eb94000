// The verdict on damaged images agrees with qemu-img check's, number by number; and what qemu-img says of them once
// they are repaired. qemu-img runs four times side by side.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "interop/qemu_img.h"
#include "qcow2/check.h"
#include "qcow2/repair.h"
#include "support/memory_file.h"
#include "support/qcow2_damage_groups.h"
#include "support/temp_dir.h"

namespace flatimg::test {
namespace {

using Numbers = std::map<std::string, std::uint64_t>;

Numbers numbers_of(const nlohmann::json& report) {
  Numbers numbers;
  for (const auto& [name, value] : report.items()) {
    if (value.is_number()) numbers[name] = value.get<std::uint64_t>();
  }
  return numbers;
}

Numbers numbers_of(const CheckReport& report) {
  Numbers numbers{{"corruptions", report.corruptions},
                  {"leaks", report.leaks},
                  {"image-end-offset", report.image_end.value()},
                  {"total-clusters", report.total_clusters},
                  {"allocated-clusters", report.allocated_clusters},
                  {"fragmented-clusters", report.fragmented_clusters},
                  {"compressed-clusters", report.compressed_clusters}};
  std::erase_if(numbers, [](const auto& number) { return number.second == 0; });  // qemu-img leaves those out
  numbers["check-errors"] = report.check_errors;
  return numbers;
}

/// Four threads that share a list of damages, each with a directory of its own.
class AllDamages {
 public:
  /// `judge` returns what is wrong, or an empty text.
  using Judge = std::function<std::string(const Damage&, const TempDir&)>;

  explicit AllDamages(Judge judge) : judge_(std::move(judge)) {
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) threads.emplace_back([this] { work(); });
    for (std::thread& thread : threads) thread.join();
  }
  ~AllDamages() {
    for (const std::string& wrong : wrong_) ADD_FAILURE() << wrong;
  }

 private:
  void work() {
    const TempDir directory;
    (void)directory.write("data.raw", std::string(8u << 20, '\0'));
    for (std::size_t n = next_++; n < damages_.size(); n = next_++) {
      const std::string wrong = judge_(damages_[n], directory);
      if (wrong.empty()) continue;
      const std::lock_guard lock(mutex_);
      wrong_.push_back(damages_[n].name + ": " + wrong);
    }
  }

  const std::vector<Damage> damages_ = all_damages();
  Judge judge_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::vector<std::string> wrong_;
};

Finished their_check(const TempDir& directory, const std::vector<std::byte>& image) {
  (void)directory.write("image.qcow2", {reinterpret_cast<const char*>(image.data()), image.size()});
  return qemu_img(directory.path().string(), {"check", "-f", "qcow2", "--output=json", directory / "image.qcow2"});
}

bool agrees(const Damage& damage, const CheckReport& ours, const Finished& theirs) {
  switch (damage.theirs) {
    case Theirs::Same:
      return numbers_of(ours) == numbers_of(json_in(theirs.output));
    case Theirs::OtherNumbers:
      return ours.corruptions > 0 && (theirs.exit_code == 1 || theirs.exit_code == 2);
    case Theirs::CannotOpen:
      return theirs.exit_code == 1;
    case Theirs::Unseen:
      return theirs.exit_code == 0;
  }
  return false;
}

TEST(QemuCheck, AgreesOnEveryKindOfDamage) {
  NEEDS_QEMU_IMG();
  AllDamages([](const Damage& damage, const TempDir& directory) -> std::string {
    const Qcow2Builder image = damaged_image(damage);
    const auto ours = qcow2::check(*image.file(), image.header(qcow2::HeaderUse::Check).value());
    if (!ours) return ours.error().text;
    const Finished theirs = their_check(directory, image.bytes());
    if (agrees(damage, *ours, theirs)) return "";
    return nlohmann::json(numbers_of(*ours)).dump() + " but qemu-img says " + theirs.output;
  });
}

// Where something is left, qemu-img sees as much of it as we do.
TEST(QemuCheck, FindsNothingThatOurRepairHasNotNamed) {
  NEEDS_QEMU_IMG();
  AllDamages([](const Damage& damage, const TempDir& directory) -> std::string {
    const auto file = MemoryFile::containing(damaged_image(damage).bytes());
    const auto repaired = qcow2::repair(*file, RepairScope::All);
    if (!repaired) return repaired.error().text;
    const Finished theirs = their_check(directory, file->contents());
    if (theirs.exit_code == 1 && damage.theirs == Theirs::CannotOpen) return "";
    if (theirs.exit_code == 0 && damage.theirs == Theirs::Unseen) return "";
    if (numbers_of(repaired->left) == numbers_of(json_in(theirs.output))) return "";
    return nlohmann::json(numbers_of(repaired->left)).dump() + " but qemu-img says " + theirs.output;
  });
}

}  // namespace
}  // namespace flatimg::test
