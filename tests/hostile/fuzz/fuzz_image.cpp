// A libFuzzer target for images of FLATIMG_FUZZED_FORMAT: everything is done with whatever the fuzzer invents.
#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"
#include "hostile/exercise.h"
#include "support/temp_dir.h"

namespace flatimg::test {
namespace {

constexpr std::size_t kLargest = 1u << 20;

// The files that a composite disk may name lie beside it.
class Place {
 public:
  Place() {
    send_log_to([](LogLevel, std::string_view) {}, LogLevel::Error);
    dir_.write("a", std::string(8192, 'a'));
    dir_.write("b", std::string(4096, 'b'));
  }
  void try_image(std::string_view bytes) { exercise(dir_.write("image", bytes), FLATIMG_FUZZED_FORMAT); }

 private:
  TempDir dir_;
};

}  // namespace
}  // namespace flatimg::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static flatimg::test::Place place;
  if (size <= flatimg::test::kLargest) place.try_image({reinterpret_cast<const char*>(data), size});
  return 0;
}
