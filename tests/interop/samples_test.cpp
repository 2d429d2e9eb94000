// Sample images of other projects give what their manifest says: size, and the hash of every decoded byte. The samples
// lie beside the source tree (../shared/samples) and are not part of it; where they are missing this is skipped.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <regex>

#include "catalog/open.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

namespace fs = std::filesystem;

// A row of the manifest.
struct Sample {
  std::string file;  // beneath the folder of samples
  std::uint64_t image_bytes = 0;
  std::string image_hash;
  std::string decoded_bytes;  // a number, or "-"
  std::string decoded_hash;   // a hash, or words
  std::string note;
};

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" `");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" `") - first + 1);
}

std::vector<Sample> read_manifest(const fs::path& manifest) {
  std::vector<Sample> samples;
  std::ifstream file(manifest);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    for (std::size_t at = 1; at < line.size();) {
      const std::size_t end = std::min(line.find('|', at), line.size());
      cells.push_back(trimmed(line.substr(at, end - at)));
      at = end + 1;
    }
    if (cells.size() < 8) continue;
    samples.push_back({cells[0], std::stoull(cells[3]), cells[4], cells[5], cells[6], cells[7]});
  }
  return samples;
}

// Feeds bytes to sha256sum as they come.
class Sha256 {
 public:
  explicit Sha256(const std::string& result)
      : result_(result), pipe_(::popen(("sha256sum > " + result).c_str(), "w")) {}
  void add(std::span<const std::byte> bytes) { (void)std::fwrite(bytes.data(), 1, bytes.size(), pipe_); }
  [[nodiscard]] std::string finish() {
    ::pclose(pipe_);
    return test::contents_of(result_).substr(0, 64);
  }

 private:
  std::string result_;
  std::FILE* pipe_;
};

class Samples : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(folder_ / "MANIFEST.md")) GTEST_SKIP() << folder_ << " is not there";
    for (const char* program : {"sha256sum", "xz", "bzip2"}) {
      if (!test::has_program(program)) GTEST_SKIP() << program << " is not installed";
    }
    samples_ = read_manifest(folder_ / "MANIFEST.md");
    ASSERT_GE(samples_.size(), 20u) << "the manifest is written differently now";
  }

  // The image itself, unpacked and found to be what the manifest means.
  std::string unpacked(const Sample& sample) {
    const std::string packed = (folder_ / sample.file).string();
    const std::string image = directory_ / fs::path(sample.file).filename().string();
    const std::string with = packed.ends_with(".xz") ? "xz -dc" : packed.ends_with(".bz2") ? "bzip2 -dc" : "cat";
    EXPECT_EQ(test::run({"sh", "-c", with + " '" + packed + "' > '" + image + "'"}).exit_code, 0);
    EXPECT_EQ(fs::file_size(image), sample.image_bytes);
    EXPECT_EQ(test::run({"sha256sum", image}).output.substr(0, 64), sample.image_hash);
    return image;
  }

  static catalog::OpenRequest request_for(const std::string& image) {
    catalog::OpenRequest request;
    request.path = image;
    request.access = Access::ReadOnly;
    return request;
  }

  void expect_content(const std::string& image, const std::string& format, std::uint64_t bytes,
                      const std::string& hash) {
    auto opened = catalog::open_image(request_for(image));
    ASSERT_TRUE(opened) << opened.error().text;
    EXPECT_EQ(opened->format, format);
    Disk disk(std::move(opened->chain), DiskOptions{});
    ASSERT_EQ(disk.size().value(), bytes);
    Sha256 sum(directory_ / "sum");
    std::vector<std::byte> piece(1 << 20);
    for (std::uint64_t at = 0; at < bytes; at += piece.size()) {
      const auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), bytes - at));
      const auto read = disk.read(GuestOffset(at), part);
      ASSERT_TRUE(read) << read.error().text;
      sum.add(part);
    }
    EXPECT_EQ(sum.finish(), hash);
    EXPECT_TRUE(disk.close());
  }

  const fs::path folder_ = fs::path(FLATIMG_SOURCES).parent_path() / "shared" / "samples";
  std::vector<Sample> samples_;
  test::TempDir directory_;
};

bool has_plain_hash(const Sample& sample) { return sample.decoded_hash.size() == 64; }

TEST_F(Samples, ReadAsTheirManifestSays) {
  std::size_t read = 0;
  for (const Sample& sample : samples_) {
    const std::string format = sample.file.substr(0, sample.file.find('/'));
    if ((format != "qcow2" && format != "raw" && format != "sparse" && format != "zstd") || !has_plain_hash(sample))
      continue;
    SCOPED_TRACE(sample.file);
    expect_content(unpacked(sample), format, std::stoull(sample.decoded_bytes), sample.decoded_hash);
    ++read;
  }
  EXPECT_GE(read, 21u);
}

TEST_F(Samples, OfOverlaysReadWithEachOfTheirBases) {
  const auto cirros = std::find_if(samples_.begin(), samples_.end(), [](const Sample& sample) {
    return sample.file.find("cirros") != std::string::npos;
  });
  ASSERT_NE(cirros, samples_.end());
  const std::string image = unpacked(*cirros);
  const std::uint64_t size = std::stoull(cirros->decoded_bytes);
  std::vector<std::string> hashes;
  const std::regex hash("[0-9a-f]{64}");
  for (std::sregex_iterator found(cirros->note.begin(), cirros->note.end(), hash), end; found != end; ++found) {
    hashes.push_back(found->str());
  }
  ASSERT_EQ(hashes.size(), 2u);
  EXPECT_FALSE(catalog::open_image(request_for(image))) << "its base is missing";
  directory_.write("cirros.raw", "");
  fs::resize_file(directory_ / "cirros.raw", size);
  expect_content(image, "qcow2", size, hashes[0]);
  directory_.write("cirros.raw", std::string(1 << 20, '\x5a'));
  expect_content(image, "qcow2", size, hashes[1]);
}

TEST_F(Samples, OfABareHeaderIsRefusedInOneLine) {
  for (const Sample& sample : samples_) {
    if (sample.decoded_hash != "-" || !sample.file.starts_with("qcow2/")) continue;
    SCOPED_TRACE(sample.file);
    const auto opened = catalog::open_image(request_for(unpacked(sample)));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::InvalidImage);
    EXPECT_EQ(opened.error().text.find('\n'), std::string::npos);
  }
}

TEST_F(Samples, ThatAreCutOffAreRefusedAsSuch) {
  for (const Sample& sample : samples_) {
    if (sample.file != "zstd/truncated.zst") continue;
    const auto opened = catalog::open_image(request_for(unpacked(sample)));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::InvalidImage) << opened.error().text;
    return;
  }
  FAIL() << "the sample is not there";
}

}  // namespace
}  // namespace flatimg
