// Images of every format with random changes: whatever they say, everything that can be done with them ends, and ends
// well. Worth most with the sanitizers.
//
// FLATIMG_SEED and FLATIMG_MUTATIONS choose other runs. An image that ends the process stays in the test's directory.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>

#include "base/log.h"
#include "hostile/exercise.h"
#include "hostile/small_images.h"
#include "support/temp_dir.h"

namespace flatimg::test {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Mutation : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    configure_log(LogTarget::StandardError, LogLevel::Error);
    send_log_to([](LogLevel, std::string_view) {}, LogLevel::Error);
  }
  void TearDown() override { send_log_to({}, LogLevel::Error); }

  // A place of an image: near its beginning, where most of what it says stands, or anywhere.
  std::size_t some_place(const std::string& image, std::size_t width) {
    const std::size_t end = random_() % 2 == 0 ? std::min<std::size_t>(image.size(), 160) : image.size();
    if (end <= width) return 0;
    const std::size_t at = random_() % (end - width);
    return random_() % 4 == 0 ? at : at / width * width;
  }
  std::uint64_t some_value(std::size_t file_size) {
    const std::array<std::uint64_t, 10> values{
        0,          1,         ~std::uint64_t{0}, std::uint64_t{1} << 63,      0x7fffffff,
        0xffffffff, file_size, file_size - 1,     random_() % (file_size + 1), random_()};
    std::uint64_t value = values[random_() % values.size()];
    if (random_() % 3 == 0) value |= std::uint64_t{1} << 62 | std::uint64_t{1} << 63;
    return value;
  }
  void change(std::string& image) {
    if (image.size() < 16) return;
    const std::size_t width = std::size_t{1} << random_() % 4;
    const std::size_t at = some_place(image, width);
    switch (random_() % 8) {
      case 0:
        image[at] = static_cast<char>(image[at] ^ 1 << random_() % 8);
        return;
      case 1:
        image.resize(image.size() - random_() % std::min<std::size_t>(image.size() - 8, 2000));
        return;
      case 2: {  // a part of the image elsewhere
        const std::size_t from = some_place(image, width);
        const std::size_t count = std::min({std::size_t{1} << random_() % 10, image.size() - at, image.size() - from});
        std::memmove(&image[at], &image[from], count);
        return;
      }
      default: {
        const std::uint64_t value = some_value(image.size());
        std::array<char, 8> bytes{};
        for (std::size_t n = 0; n < 8; ++n) bytes[n] = static_cast<char>(value >> (big_endian_ ? 8 * (7 - n) : 8 * n));
        std::memcpy(&image[at], big_endian_ ? &bytes[8 - width] : bytes.data(), width);
      }
    }
  }

  const std::uint64_t seed_ = from_environment("FLATIMG_SEED", 20261121);
  std::mt19937_64 random_{seed_};
  const bool big_endian_ = GetParam().starts_with("qcow");  // big-endian
  TempDir dir_;
  const std::string path_ = dir_ / "image";
  const std::vector<std::string> seeds_ = small_images(GetParam());
};

TEST_P(Mutation, EndsWellWhateverAnImageSays) {
  RecordProperty("seed", std::to_string(seed_));
  const std::uint64_t mutations = from_environment("FLATIMG_MUTATIONS", 600);
  for (std::uint64_t n = 0; n < mutations; ++n) {
    std::string image = seeds_[n % seeds_.size()];
    for (std::uint64_t changes = 1 + random_() % 4; changes > 0; --changes) change(image);
    dir_.write("image", image);
    exercise(path_, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Mutation, ::testing::Values("qcow2", "qcow", "sparse", "zstd", "composite"),
                         [](const auto& format) { return format.param; });

}  // namespace
}  // namespace flatimg::test
