// The verdict on damaged images agrees with qemu-img check's, number by number.
#include <gtest/gtest.h>

#include "interop/qemu_img.h"
#include "qcow2/check.h"
#include "support/qcow2_damages.h"
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

TEST(QemuCheck, AgreesOnEveryKindOfDamage) {
  NEEDS_QEMU_IMG();
  const TempDir directory;
  (void)directory.write("data.raw", std::string(8u << 20, '\0'));
  for (const Damage& damage : qcow2_damages()) {
    SCOPED_TRACE(damage.name);
    const Qcow2Builder image = damaged_image(damage);
    image.save(directory / "image.qcow2");
    const Finished theirs =
        qemu_img(directory.path().string(), {"check", "-f", "qcow2", "--output=json", directory / "image.qcow2"});
    const auto ours = qcow2::check(*image.file(), image.header().value());
    ASSERT_TRUE(ours.has_value()) << ours.error().text;
    if (damage.theirs == Theirs::Same) {
      EXPECT_EQ(numbers_of(*ours), numbers_of(json_in(theirs.output))) << theirs.output;
    } else {
      EXPECT_EQ(theirs.exit_code, damage.theirs == Theirs::CannotOpen ? 1 : 0) << theirs.output;
    }
  }
}

}  // namespace
}  // namespace flatimg::test
