// What is done at once to images of the other formats, while every call to the file fails: made, checked, described,
// and read from the beginning to the end. deed_trial.h has the judge.
#include <gtest/gtest.h>

#include "android_sparse/check.h"
#include "android_sparse/describe.h"
#include "android_sparse/header.h"
#include "android_sparse/sparse_image.h"
#include "android_sparse/sparse_writer.h"
#include "base/log.h"
#include "composite/describe.h"
#include "composite/header.h"
#include "fault/deed_trial.h"
#include "fault/shown.h"
#include "qcow1/check.h"
#include "qcow1/create.h"
#include "qcow1/describe.h"
#include "qcow1/header.h"
#include "qcow1/qcow1_image.h"
#include "raw/create.h"
#include "raw/raw_image.h"
#include "seekable_zstd/check.h"
#include "seekable_zstd/describe.h"
#include "seekable_zstd/zstd_image.h"
#include "seekable_zstd/zstd_writer.h"
#include "support/composite_builder.h"
#include "support/matchers.h"
#include "support/qcow1_builder.h"
#include "support/sparse_builder.h"
#include "support/zstd_builder.h"

namespace flatimg {
namespace {

using test::Deed;
using test::Dresser;
using test::Files;
using test::MemoryFile;
using test::Succeeds;

using OnFile = std::function<Result<std::string>(std::unique_ptr<HostFile>)>;

Files one_file(std::span<const std::byte> bytes) { return {MemoryFile::containing(bytes)}; }
Files one_file(const std::string& bytes) { return one_file(std::as_bytes(std::span(bytes))); }

Deed looking(std::string name, Files start, const OnFile& act) {
  return {std::move(name), std::move(start), [act](Dresser& files) { return act(files.dressed(0)); }, test::same_files};
}

/// Of an empty file, which is whole or no image: by `read`, which opens it and shows what is in it.
Deed making(std::string name, const OnFile& act, const OnFile& read) {
  const auto state = [read](const Files& files) {
    const auto content = read(std::make_unique<test::ForwardingFile>(files[0]));
    return content ? *content : std::string("nothing");
  };
  Deed deed = looking(std::move(name), {std::make_shared<MemoryFile>()}, act);
  deed.state = state;
  deed.again = Deed::Again::NotPossible;
  return deed;
}

// --- qcow -----------------------------------------------------------------------------------------------------------

Result<std::string> read_qcow1(std::unique_ptr<HostFile> file) {
  TRY(qcow1::Header header, qcow1::read_header(*file));
  TRY(auto image, qcow1::Qcow1Image::open(std::move(file), std::move(header), nullptr, {}));
  return test::shown_disk(*test::disk_of(std::move(image)));
}

/// With data and streams.
Files qcow1_file() {
  const auto file = std::make_shared<MemoryFile>();
  EXPECT_THAT(qcow1::create(*file, {.size = 64_KiB}), Succeeds());
  auto header = qcow1::read_header(*file);
  qcow1::OpenOptions options;
  options.writable = true;
  auto image = qcow1::Qcow1Image::open(std::make_unique<test::ForwardingFile>(file), *header, nullptr, options);
  EXPECT_THAT(image, Succeeds());
  const auto disk = test::disk_of(*std::move(image));
  const std::vector<std::byte> unit(disk->traits().unit.value(), std::byte{0x21});
  const auto encoded = disk->top().encode(unit);
  EXPECT_THAT(disk->write_encoded(GuestOffset(0), *encoded), Succeeds());
  EXPECT_THAT(disk->write(GuestOffset(20000), unit), Succeeds());
  EXPECT_THAT(disk->close(), Succeeds());
  return {file};
}

std::vector<Deed> deeds_of_qcow1() {
  const auto check = [](std::unique_ptr<HostFile> file) -> Result<std::string> {
    TRY(const qcow1::Header header, qcow1::read_header(*file));
    TRY(CheckReport report, qcow1::check(*file, header));
    TRY(report, qcow1::with_data_checked(*file, header, std::move(report)));
    TRY(const ImageInfo info, qcow1::describe(*file, header));
    return test::shown_report(report);
  };
  const auto create = [](qcow1::Xen xen) {
    return [xen](std::unique_ptr<HostFile> file) -> Result<std::string> {
      CHECK(qcow1::create(*file, {.size = 256_KiB, .xen = xen}));
      return "done";
    };
  };
  test::Qcow1Builder small_tables({.cluster_bits = 9, .l2_bits = 6, .size = 128 << 10});
  (void)small_tables.add_data(3);
  return {looking("read qcow", qcow1_file(), read_qcow1),
          looking("check qcow", qcow1_file(), check),
          looking("check small tables", {small_tables.file()}, check),
          making("create qcow", create(qcow1::Xen::No), read_qcow1),
          making("create for Xen", create(qcow1::Xen::Sparse), read_qcow1),
          making("create for Xen, preallocated", create(qcow1::Xen::Preallocated), read_qcow1)};
}

// --- written once ---------------------------------------------------------------------------------------------------

Result<std::string> read_sparse(std::unique_ptr<HostFile> file) {
  std::vector<std::unique_ptr<HostFile>> pieces;
  pieces.push_back(std::move(file));
  TRY(auto image, android_sparse::SparseImage::open(std::move(pieces), ""));
  return test::shown_disk(*test::disk_of(std::move(image)));
}

Result<std::string> read_zstd(std::unique_ptr<HostFile> file) {
  TRY(auto image, seekable_zstd::ZstdImage::open(std::move(file), {}));
  return test::shown_disk(*test::disk_of(std::move(image)));
}

constexpr std::size_t kUnits = 6;
constexpr std::size_t kUnit = 4096;

/// Data, equal words, and zeroes at the end.
std::vector<std::byte> unit_of_disk(std::size_t nth) {
  std::vector<std::byte> bytes(kUnit, static_cast<std::byte>(nth + 1 < kUnits ? nth / 2 : 0));
  if (nth % 3 == 1) bytes[kUnit / 2] = std::byte{0x99};
  return bytes;
}

Result<void> write_all(ImageWriter& writer) {
  for (std::size_t n = 0; n < kUnits; ++n) {
    const GuestRange where{GuestOffset(n * kUnit), ByteCount(kUnit)};
    TRY(const auto append, n + 1 < kUnits ? writer.encode(where, unit_of_disk(n)) : writer.encode_hole(where));
    CHECK(append());
  }
  return writer.finish();
}

/// What is not whole counts as nothing: such a file gets its name when it is complete (host/new_file.h).
Deed writing(std::string name, const OnFile& act, const OnFile& read) {
  return making(std::move(name), act, [read](std::unique_ptr<HostFile> file) -> Result<std::string> {
    std::string wanted;
    for (std::size_t n = 0; n < kUnits; ++n) wanted += test::shown_bytes(unit_of_disk(n));
    TRY(std::string content, read(std::move(file)));
    if (content != wanted) return fail(ErrorKind::InvalidImage, "not whole");
    return content;
  });
}

Result<std::string> write_sparse(std::unique_ptr<HostFile> file) {
  android_sparse::WriteOptions options;
  options.checksum = true;
  TRY(const auto writer, android_sparse::SparseWriter::begin(*file, ByteCount(kUnit * kUnits), options));
  CHECK(write_all(*writer));
  return "done";
}

Result<std::string> write_zstd(std::unique_ptr<HostFile> file) {
  seekable_zstd::WriteOptions options;
  options.frame = 4096_B;
  TRY(const auto writer, seekable_zstd::ZstdWriter::begin(*file, ByteCount(kUnit * kUnits), options));
  CHECK(write_all(*writer));
  return "done";
}

std::vector<Deed> deeds_of_sparse() {
  test::SparseBuilder image;
  (void)image.raw(std::string(8192, 'x'));
  (void)image.fill(7, 3);
  (void)image.dont_care(5);
  (void)image.crc32(image.checksum());
  const auto check = [](std::unique_ptr<HostFile> file) -> Result<std::string> {
    TRY(const auto header, android_sparse::read_header(*file));
    TRY(const CheckReport report, android_sparse::check(*file, header));
    TRY(const ImageInfo info, android_sparse::describe(*file, header));
    return test::shown_report(report);
  };
  return {looking("read sparse", one_file(image.bytes()), read_sparse),
          looking("check sparse", one_file(image.bytes()), check), writing("write sparse", write_sparse, read_sparse)};
}

std::vector<Deed> deeds_of_zstd() {
  test::ZstdBuilder frames;
  for (char letter = 'a'; letter < 'e'; ++letter) (void)frames.frame(std::string(3000, letter));
  const std::string without_table = frames.bytes();
  (void)frames.finish(test::ZstdBuilder::Checksums::InTable);
  const auto check = [](std::unique_ptr<HostFile> file) -> Result<std::string> {
    const ByteCount most = seekable_zstd::largest_frame(64_MiB);
    TRY(const CheckReport report, seekable_zstd::check(*file, most));
    TRY(const CheckReport deep, seekable_zstd::check_with_data(*file, most));
    TRY(const ImageInfo info, seekable_zstd::describe(*file, most));
    return test::shown_report(report) + test::shown_report(deep);
  };
  return {looking("read zstd", one_file(frames.bytes()), read_zstd),
          looking("read zstd without a table", one_file(without_table), read_zstd),
          looking("check zstd", one_file(frames.bytes()), check),
          looking("check zstd without a table", one_file(without_table), check),
          writing("write zstd", write_zstd, read_zstd)};
}

// --- composite and raw ----------------------------------------------------------------------------------------------

std::vector<Deed> deeds_of_others() {
  test::CompositeBuilder composite;
  composite.version(2).length(12288).part({"a", 0, 1}).part({"b", 8192, 0});
  const auto describe = [](std::unique_ptr<HostFile> file) -> Result<std::string> {
    TRY(const auto header, composite::read_header(*file));
    TRY(const ImageInfo info, composite::describe(*file));
    return std::to_string(header.parts.size());
  };
  const auto read_raw = [](std::unique_ptr<HostFile> file) -> Result<std::string> {
    TRY(auto image, raw::RawImage::open(std::move(file), nullptr));
    return test::shown_disk(*test::disk_of(std::move(image)));
  };
  const auto resize_raw = [](ByteCount size) {
    return [size](std::unique_ptr<HostFile> file) -> Result<std::string> {
      TRY(auto image, raw::RawImage::open(std::move(file), nullptr));
      const auto disk = test::disk_of(std::move(image));
      CHECK(disk->resize(size));
      CHECK(disk->close());
      return "done";
    };
  };
  const auto resizing = [&](std::string name, ByteCount size) {
    return looking(std::move(name), one_file(std::string(3000, 'r')), resize_raw(size));
  };
  return {looking("describe composite", one_file(composite.bytes()), describe),
          looking("read raw", one_file(std::string(9000, 'r')), read_raw), resizing("grow raw", 5000_B),
          resizing("shrink raw", 1024_B)};
}

class FormatDeeds : public ::testing::Test {
 protected:
  void SetUp() override { configure_log(LogTarget::StandardError, LogLevel::Error); }
  static void fail_calls_of(const std::vector<Deed>& deeds) {
    for (const Deed& deed : deeds) {
      test::fail_every_call(deed);
      if (HasFailure()) break;
    }
  }
};

TEST_F(FormatDeeds, OfQcowAreHonestWhateverFails) { fail_calls_of(deeds_of_qcow1()); }
TEST_F(FormatDeeds, OfSparseAreHonestWhateverFails) { fail_calls_of(deeds_of_sparse()); }
TEST_F(FormatDeeds, OfZstdAreHonestWhateverFails) { fail_calls_of(deeds_of_zstd()); }
TEST_F(FormatDeeds, OfOthersAreHonestWhateverFails) { fail_calls_of(deeds_of_others()); }

}  // namespace
}  // namespace flatimg
