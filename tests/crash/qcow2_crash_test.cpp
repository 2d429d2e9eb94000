// Power cuts at every barrier of random workloads on qcow2 images: each state opens for writing without repair, has no
// errors (leaks are allowed), shows each sector as it was at the last flush or as some later write made it, and can be
// worked on (promises R1, R2, R4).
//
// FLATIMG_SEED and FLATIMG_ROUNDS choose other and more workloads.
#include <algorithm>

#include "crash/fixed_base.h"
#include "crash/random_crashes.h"
#include "qcow2/qcow2_image.h"
#include "support/image_oracle.h"
#include "support/matchers.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

using test::FixedBase;
using test::kSector;
using test::MemoryFile;

struct Setting {
  std::string name;
  std::string options;
  std::uint64_t size = 1 << 20;
  bool start_with_data = false;
  bool compressed = false;
  bool snapshot = false;
  bool with_base = false;
};
void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.name; }

constexpr std::uint64_t kQemuEvery = 40;  // states

const std::vector<std::string> kSecret{"--object", "secret,id=s,data=abc"};

class Qcow2Crash : public ::testing::TestWithParam<Setting>, protected test::RandomCrashes {
 protected:
  // The image as the last words of a command of qemu-img.
  static void add_image(std::vector<std::string>& command, const std::string& image) {
    if (!encrypted()) return command.push_back(image);
    command.insert(command.end(), kSecret.begin(), kSecret.end());
    command.insert(command.end(), {"--image-opts", "driver=qcow2,encrypt.key-secret=s,file.filename=" + image});
  }
  static bool encrypted() { return GetParam().options.find("encrypt.") != std::string::npos; }

  // One value for each sector.
  std::vector<std::byte> random_sectors(std::mt19937_64& random) {
    std::vector<std::byte> values(GetParam().size / kSector);
    for (std::size_t n = 0; n < values.size();) {
      const auto value = static_cast<std::byte>(random() % 3 == 0 ? 0 : random());
      for (std::size_t run = 1 + random() % 200; run > 0 && n < values.size(); --run) values[n++] = value;
    }
    return values;
  }

  static std::vector<std::byte> expand(const std::vector<std::byte>& values) {
    std::vector<std::byte> bytes(values.size() * kSector);
    for (std::size_t n = 0; n < values.size(); ++n)
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(n * kSector), kSector, values[n]);
    return bytes;
  }

  void make_start(std::mt19937_64& random) override {
    const Setting& setting = GetParam();
    const std::string image = dir_ / "start.qcow2";
    const std::string size = std::to_string(setting.size);
    std::vector<std::string> command{"qemu-img"};
    const auto with_secret = [&] {
      if (encrypted()) command.insert(command.end(), kSecret.begin(), kSecret.end());
    };
    start_.assign(setting.size / kSector, std::byte{0});
    base_content_.clear();
    if (setting.start_with_data) {
      start_ = random_sectors(random);
      const auto bytes = expand(start_);
      dir_.write("start.raw", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      command.push_back("convert");
      with_secret();
      command.insert(command.end(), {"-f", "raw", "-O", "qcow2"});
      if (setting.compressed) command.push_back("-c");
      if (!setting.options.empty()) command.insert(command.end(), {"-o", setting.options});
      command.insert(command.end(), {dir_ / "start.raw", image});
    } else {
      command.push_back("create");
      with_secret();
      command.insert(command.end(), {"-q", "-f", "qcow2"});
      if (!setting.options.empty()) command.insert(command.end(), {"-o", setting.options});
      command.insert(command.end(), {image, size});
    }
    auto made = test::run(command);
    for (int n = 0; n < 50 && made.output.find("accurate CPU usage") != std::string::npos; ++n)
      made = test::run(command);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    if (setting.snapshot) {
      std::vector<std::string> snapshot{"qemu-img", "snapshot", "-c", "one"};
      add_image(snapshot, image);
      const auto taken = test::run(snapshot);
      ASSERT_EQ(taken.exit_code, 0) << taken.output;
    }
    if (setting.with_base) {
      start_ = random_sectors(random);
      base_content_ = expand(start_);
    }
    start_file_ = MemoryFile::containing(test::bytes_of(test::contents_of(image)));
  }

  std::unique_ptr<Disk> open(std::unique_ptr<HostFile> file) override {
    auto base = base_content_.empty() ? nullptr : std::make_unique<FixedBase>(base_content_);
    auto opened = open_image(std::move(file), base.get());
    EXPECT_THAT(opened, test::Succeeds());
    if (!opened) return nullptr;
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(*std::move(opened));
    if (base) chain.push_back(std::move(base));
    return std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }
  Result<std::unique_ptr<qcow2::Qcow2Image>> open_image(std::unique_ptr<HostFile> file, Image* below) {
    TRY(qcow2::Header header, qcow2::read_header(*file));
    qcow2::OpenOptions options;
    options.writable = true;
    options.flush_interval = std::chrono::milliseconds(0);
    options.cache_size = 1_MiB;
    options.passphrase = &passphrase_;
    return qcow2::Qcow2Image::open(std::move(file), std::move(header), nullptr, below, options);
  }

  void judge_file(MemoryFile& file) override {
    test::expect_no_errors(file, test::Leaks::MayBe);
    if (states_ % kQemuEvery == 0) ask_qemu(file);
  }

  void ask_qemu(const MemoryFile& file) {
    const auto bytes = file.contents();
    const std::string path = dir_.write("state.qcow2", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    std::vector<std::string> command{"qemu-img", "check"};
    add_image(command, path);
    const auto check = test::run(command);
    EXPECT_TRUE(check.exit_code == 0 || check.exit_code == 3) << check.output;
  }

  test::TempDir dir_;
  Secret passphrase_ = Secret::copy(test::bytes_of("abc"));
  std::vector<std::byte> base_content_;
};

TEST_P(Qcow2Crash, LeavesOldOrNewAndNoErrors) {
  if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
  crash_workloads(11);
}

const std::string kLuks = ",encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=1";
const std::string kAes = ",encrypt.format=aes,encrypt.key-secret=s";

INSTANTIATE_TEST_SUITE_P(
    Settings, Qcow2Crash,
    ::testing::Values(Setting{"default", ""}, Setting{"default_data", "", 1 << 20, true},
                      Setting{"clusters_512", "cluster_size=512", 256 << 10},
                      Setting{"clusters_512_data", "cluster_size=512", 256 << 10, true},
                      Setting{"clusters_512_refcount_64", "cluster_size=512,refcount_bits=64", 256 << 10, true},
                      Setting{"clusters_4k", "cluster_size=4k,refcount_bits=1"},
                      Setting{"v2", "compat=0.10,cluster_size=4k", 1 << 20, true},
                      Setting{"compressed", "cluster_size=16k", 1 << 20, true, true},
                      Setting{"snapshot", "cluster_size=4k", 1 << 20, true, false, true},
                      Setting{"extended", "extended_l2=on,cluster_size=16k", 1 << 20, true},
                      Setting{"extended_snapshot", "extended_l2=on,cluster_size=16k", 1 << 20, true, false, true},
                      Setting{"base", "cluster_size=16k", 1 << 20, false, false, false, true},
                      Setting{"base_64k", "", 1 << 20, false, false, false, true},
                      Setting{"base_extended", "extended_l2=on", 1 << 20, false, false, false, true},
                      Setting{"base_512", "cluster_size=512", 256 << 10, false, false, false, true},
                      Setting{"luks", "cluster_size=4k" + kLuks}, Setting{"aes_64k", "cluster_size=64k" + kAes},
                      Setting{"aes_v2", "cluster_size=4k,compat=0.10" + kAes, 256 << 10, true},
                      Setting{"aes_snapshot", "cluster_size=4k" + kAes, 256 << 10, true, false, true},
                      Setting{"aes_extended_data", "extended_l2=on,cluster_size=16k" + kAes, 256 << 10, true},
                      Setting{"aes_base", "cluster_size=16k" + kAes, 256 << 10, false, false, false, true},
                      Setting{"aes", "cluster_size=4k" + kAes},
                      Setting{"aes_512", "cluster_size=512" + kAes, 256 << 10},
                      Setting{"aes_data", "cluster_size=4k" + kAes, 256 << 10, true},
                      Setting{"aes_extended", "extended_l2=on,cluster_size=16k" + kAes, 256 << 10}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
