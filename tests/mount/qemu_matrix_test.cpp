// Images of every layout that qemu-img makes: read through the mount byte-equal to qemu-img's own conversion, written
// through the mount, then judged by qemu-img check and qemu-img compare. The header stays as it was.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

struct Combination {
  std::string name;
  std::string options;      // of qemu-img -o
  std::string more;         // further words: -c
  std::string base_format;  // with a backing file of this format
  unsigned megabytes = 5;
};
void PrintTo(const Combination& combination, std::ostream* out) { *out << combination.name; }

class QemuMatrix : public ::testing::TestWithParam<Combination> {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    make_image();
  }

  // Data, runs of one byte, and holes.
  void write_content(const std::string& name, std::size_t bytes) {
    std::string content(bytes, '\0');
    for (std::size_t at = 0; at < bytes;) {
      const std::size_t run = std::min<std::size_t>(bytes - at, 512 * (1 + random_() % 300));
      const auto sort = random_() % 4;
      for (std::size_t n = at; n < at + run; ++n) {
        content[n] = sort == 0 ? static_cast<char>(random_()) : sort == 1 ? static_cast<char>(run / 512 + n % 3) : '\0';
      }
      at += run;
    }
    dir_.write(name, content);
  }

  void make_image() {
    const Combination& combination = GetParam();
    const std::size_t size = std::size_t{combination.megabytes} << 20;
    const std::string options = combination.options.empty() ? "" : " -o " + combination.options;
    std::string script = "cd " + dir_.path().string() + "; mkdir mnt;";
    if (combination.base_format.empty()) {
      write_content("content.raw", size);
      script += "qemu-img convert -f raw -O qcow2 " + combination.more + options + " content.raw disk.qcow2";
    } else {
      write_content("content.raw", size - 1536);
      script += "qemu-img convert -f raw -O " + combination.base_format + " content.raw base;";
      script += "qemu-img create -q -f qcow2" + options + " -b base -F " + combination.base_format + " disk.qcow2 " +
                std::to_string(size) + "; qemu-io -c 'write -P 3 300k 700k' -c 'write -z 2M 100k' disk.qcow2";
    }
    script += "; qemu-img convert -f qcow2 -O raw disk.qcow2 model.raw; cp disk.qcow2 before.qcow2";
    const auto made = shell(script);
    ASSERT_EQ(made.exit_code, 0) << made.output;
  }

  void expect_equal(const std::string& flat) {
    const auto compared = run({"cmp", flat, dir_ / "model.raw"});
    EXPECT_EQ(compared.exit_code, 0) << compared.output;
  }

  void change(const std::string& flat) {
    const int disk = ::open(flat.c_str(), O_RDWR | O_CLOEXEC);
    const int model = ::open((dir_ / "model.raw").c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(disk, 0) << std::strerror(errno);
    ASSERT_GE(model, 0);
    const std::uint64_t size = std::uint64_t{GetParam().megabytes} << 20;
    for (int n = 0; n < 120; ++n) {
      const std::uint64_t at = random_() % size;
      const std::uint64_t length = std::min(size - at, 1 + random_() % (std::uint64_t{1} << random_() % 19));
      const std::string data(length, static_cast<char>(n + 1));
      const auto offset = static_cast<off_t>(at);
      const auto sort = random_() % 6;
      for (const int fd : {disk, model}) {
        if (sort == 0) {
          ASSERT_EQ(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, static_cast<off_t>(length)), 0);
        } else if (sort == 1) {
          ASSERT_EQ(::fallocate(fd, FALLOC_FL_ZERO_RANGE, offset, static_cast<off_t>(length)), 0);
        } else {
          ASSERT_EQ(::pwrite(fd, data.data(), length, offset), static_cast<ssize_t>(length));
        }
      }
      if (n % 30 == 0) {
        EXPECT_EQ(::fsync(disk), 0);
      }
    }
    ::close(disk);
    ::close(model);
  }

  // Only the place of the refcount table and the autoclear bits may differ.
  void expect_same_header() {
    std::string before = contents_of(dir_ / "before.qcow2").substr(0, 512);
    std::string after = contents_of(dir_ / "disk.qcow2").substr(0, 512);
    for (std::string* header : {&before, &after}) {
      header->replace(48, 12, 12, '\0');
      if ((*header)[7] == 3) header->replace(88, 8, 8, '\0');
    }
    EXPECT_EQ(before, after);
  }

  TempDir dir_;
  std::mt19937_64 random_{42};
};

TEST_P(QemuMatrix, ReadsAndWritesLikeQemu) {
  const std::string image = dir_ / "disk.qcow2";
  {
    MountedImage mounted(image, dir_ / "mnt");
    ASSERT_TRUE(mounted.mounted());
    expect_equal(mounted.flat());
    mounted.unmount();
    EXPECT_EQ(run({"cmp", image, dir_ / "before.qcow2"}).exit_code, 0) << "reading has changed the image";
  }
  {
    MountedImage mounted(image, dir_ / "mnt");
    ASSERT_TRUE(mounted.mounted());
    change(mounted.flat());
    expect_equal(mounted.flat());
    mounted.unmount();
  }
  const auto judged = shell("cd " + dir_.path().string() +
                            "; qemu-img check disk.qcow2; qemu-img compare -f raw -F qcow2 model.raw disk.qcow2");
  EXPECT_EQ(judged.exit_code, 0) << judged.output;
  expect_same_header();
}

std::vector<Combination> combinations() {
  std::vector<Combination> all;
  for (const std::string bits : {"1", "2", "4", "8", "16", "32", "64"}) {
    all.push_back({"refcount_" + bits, "refcount_bits=" + bits, "", ""});
  }
  for (const std::string size :
       {"512", "1k", "2k", "4k", "8k", "16k", "32k", "64k", "128k", "256k", "512k", "1M", "2M"}) {
    all.push_back({"cluster_" + size, "cluster_size=" + size, "", ""});
    all.push_back({"cluster_" + size + "_compressed", "cluster_size=" + size, "-c", ""});
  }
  for (const std::string size : {"16k", "64k", "2M"}) {
    all.push_back({"extended_" + size, "extended_l2=on,cluster_size=" + size, "", ""});
    all.push_back({"extended_" + size + "_overlay", "extended_l2=on,cluster_size=" + size, "", "qcow2"});
    all.push_back(
        {"extended_" + size + "_zstd", "extended_l2=on,compression_type=zstd,cluster_size=" + size, "-c", ""});
  }
  all.push_back({"v2", "compat=0.10", "", ""});
  all.push_back({"v2_compressed", "compat=0.10", "-c", ""});
  all.push_back({"v2_overlay", "compat=0.10", "", "raw"});
  all.push_back({"zstd", "compression_type=zstd", "-c", ""});
  all.push_back({"zstd_4k", "compression_type=zstd,cluster_size=4k", "-c", ""});
  all.push_back({"lazy", "lazy_refcounts=on", "", ""});
  all.push_back({"overlay_raw", "", "", "raw"});
  all.push_back({"overlay_qcow2", "", "", "qcow2"});
  all.push_back({"overlay_512", "cluster_size=512", "", "qcow2"});
  all.push_back({"overlay_2m", "cluster_size=2M", "", "raw", 9});
  all.push_back({"data_file", "data_file=data.raw", "", ""});
  all.push_back({"data_file_raw", "data_file=data.raw,data_file_raw=on", "", ""});
  all.push_back({"data_file_4k", "data_file=data.raw,cluster_size=4k", "", ""});
  for (const std::string how : {"metadata", "falloc", "full"}) {
    all.push_back({"preallocation_" + how, "preallocation=" + how, "", ""});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Combinations, QemuMatrix, ::testing::ValuesIn(combinations()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg::test
