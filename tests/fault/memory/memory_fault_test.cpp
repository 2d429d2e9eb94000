// The n-th allocation fails, for every n, in one operation after the other of a fixed workload, once and until the
// operation is over. Whoever calls a disk takes std::bad_alloc as ENOMEM, and so does this. Afterwards
//   - the operation has succeeded, or failed with old or new bytes;
//   - reads go on; what follows succeeds, or is refused for good; a flush that succeeds has kept everything;
//   - the image has no errors, opens for writing, and shows what was flushed.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <new>

#include "base/log.h"
#include "fault/memory/scarce_memory.h"
#include "fault/workload.h"
#include "host/sticky_file.h"
#include "qcow1/check.h"
#include "qcow1/create.h"
#include "qcow1/header.h"
#include "qcow1/qcow1_image.h"
#include "qcow2/create.h"
#include "qcow2/qcow2_image.h"
#include "support/figures.h"
#include "support/forwarding_file.h"
#include "support/image_oracle.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "view/disk.h"

namespace flatimg {
namespace {

using test::DiskOperation;
using test::ForwardingFile;
using test::MemoryFile;
using test::PlentyOfMemory;
using test::ScarceMemory;
using test::SectorValues;
using test::Succeeds;

/// Whose own memory does not end.
class WellFedFile final : public ForwardingFile {
 public:
  using ForwardingFile::ForwardingFile;
  using HostFile::write;
  Result<void> read(HostOffset at, std::span<std::byte> out) override {
    const PlentyOfMemory plenty;
    return ForwardingFile::read(at, out);
  }
  Result<void> write(HostOffset at, std::span<const std::span<const std::byte>> parts) override {
    const PlentyOfMemory plenty;
    return ForwardingFile::write(at, parts);
  }
  Result<void> zero(HostRange range, Space space) override {
    const PlentyOfMemory plenty;
    return ForwardingFile::zero(range, space);
  }
  Result<void> reserve(HostRange range) override {
    const PlentyOfMemory plenty;
    return ForwardingFile::reserve(range);
  }
  Result<void> resize(ByteCount size) override {
    const PlentyOfMemory plenty;
    return ForwardingFile::resize(size);
  }
};

struct Format {
  std::string name;
  std::function<std::shared_ptr<MemoryFile>()> create;
  std::function<Result<std::unique_ptr<Image>>(std::unique_ptr<HostFile>)> open;
  std::function<void(MemoryFile&)> expect_no_errors;
  std::function<void(Disk&)> prepare;  // so that the workload finds more to do
};
void PrintTo(const Format& format, std::ostream* out) { *out << format.name; }

constexpr ByteCount kSize{256 << 10};

/// The same once more, with its memory running out at the n-th allocation; nothing becomes of std::bad_alloc but an
/// error.
template <class Work>
Result<void> with_scarce_memory(std::uint64_t nth, ScarceMemory::Times times, Work work) {
  try {
    const ScarceMemory scarce(nth, times);
    return work();
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::NoMemory, "no memory");
  }
}

class MemoryFault : public ::testing::TestWithParam<Format> {
 protected:
  void SetUp() override {
    configure_log(LogTarget::StandardError, LogLevel::Error);
    start_ = GetParam().create();
    auto disk = open(start_);
    ASSERT_THAT(disk, Succeeds());
    std::fill(sectors_.begin(), sectors_.begin() + static_cast<std::ptrdiff_t>(sectors_.size() / 2), std::byte{0});
    const auto bytes = test::bytes_of_sectors(sectors_);
    const std::size_t half = bytes.size() / 2;
    ASSERT_THAT((*disk)->write(GuestOffset(half), std::span(bytes).subspan(half)), Succeeds());
    GetParam().prepare(**disk);
    ASSERT_THAT((*disk)->close(), Succeeds());
  }

  static Result<std::unique_ptr<Disk>> open(const std::shared_ptr<MemoryFile>& file) {
    TRY(auto image, GetParam().open(with_sticky_failure(std::make_unique<WellFedFile>(file))));
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(std::move(image));
    return std::make_unique<Disk>(std::move(chain), DiskOptions{});
  }

  static Result<void> act(const DiskOperation& operation, Disk& disk, std::span<std::byte> bytes) {
    using Kind = DiskOperation::Kind;
    switch (operation.kind) {
      case Kind::Write:
        return disk.write(operation.range().begin, bytes);
      case Kind::Release:
        return disk.zero(operation.range(), Space::Release);
      case Kind::Keep:
        return disk.zero(operation.range(), Space::Keep);
      case Kind::Allocate:
        return disk.allocate(operation.range());
      case Kind::Flush:
        return disk.flush();
      case Kind::Read:
        break;
    }
    return disk.read(operation.range().begin, bytes);
  }

  /// True when an allocation has failed.
  bool perform_scarcely(std::uint64_t nth, ScarceMemory::Times times, const DiskOperation& operation, Disk& disk,
                        SectorValues& values) {
    using Kind = DiskOperation::Kind;
    std::vector bytes(operation.count * test::kSector, operation.value);
    const auto done = with_scarce_memory(nth, times, [&] { return act(operation, disk, bytes); });
    const bool changes =
        operation.kind == Kind::Write || operation.kind == Kind::Release || operation.kind == Kind::Keep;
    if (changes) values.tried(operation.first, operation.count, operation.value, done.has_value());
    if (operation.kind == Kind::Flush && done) values.flushed();
    if (operation.kind == Kind::Read && done) {
      EXPECT_EQ(values.wrong_now(operation.first, bytes).value_or(""), "");
    }
    return ScarceMemory::failures() > 0;
  }

  static void expect_content(Disk& disk, const SectorValues& values, bool durable) {
    std::vector<std::byte> content(disk.size().value());
    ASSERT_THAT(disk.read(GuestOffset(0), content), Succeeds());
    const auto wrong = durable ? values.wrong_durable(content) : values.wrong_now(0, content);
    EXPECT_EQ(wrong.value_or(""), "") << (durable ? "after opening it again" : "in the open disk");
  }

  static void expect_sound(const std::shared_ptr<MemoryFile>& file, const SectorValues& values) {
    GetParam().expect_no_errors(*file);
    auto disk = open(file);
    ASSERT_THAT(disk, Succeeds());
    ASSERT_TRUE((*disk)->writable());
    expect_content(**disk, values, true);
    ASSERT_THAT((*disk)->write(GuestOffset(700), std::vector(kSize.value() / 2, std::byte{0x66})), Succeeds());
    ASSERT_THAT((*disk)->close(), Succeeds());
    disk->reset();
    GetParam().expect_no_errors(*file);
  }

  /// False when the operation has fewer allocations.
  bool run(std::size_t which, std::uint64_t nth, ScarceMemory::Times times) {
    ++runs_;
    const std::shared_ptr<MemoryFile> file = start_->copy();
    SectorValues values(sectors_);
    auto disk = open(file);
    EXPECT_THAT(disk, Succeeds());
    for (std::size_t n = 0; n < which; ++n) perform(operations_[n], **disk, values);
    const bool met = perform_scarcely(nth, times, operations_[which], **disk, values);
    expect_content(**disk, values, false);
    for (std::size_t n = which + 1; n < operations_.size(); ++n) perform(operations_[n], **disk, values);
    expect_content(**disk, values, false);
    if ((*disk)->close()) values.flushed();
    disk->reset();
    expect_sound(file, values);
    return met;
  }

  std::shared_ptr<MemoryFile> start_;
  std::vector<std::byte> sectors_ = test::some_sectors(kSize.value() / test::kSector);
  const std::vector<DiskOperation> operations_ = test::workload(kSize.value() / test::kSector);
  std::uint64_t runs_ = 0;
};

TEST_P(MemoryFault, OfAnOperationIsReportedAndDoesNoHarm) {
  for (std::size_t which = 0; which < operations_.size(); ++which) {
    for (const auto times : {ScarceMemory::Times::Once, ScarceMemory::Times::ForEver}) {
      for (std::uint64_t nth = 1; !HasFailure(); ++nth) {
        SCOPED_TRACE(fmt::format("operation {}, allocation {}, {}", which, nth,
                                 times == ScarceMemory::Times::Once ? "once" : "for ever"));
        if (!run(which, nth, times)) break;
      }
    }
  }
  test::add_figure("workloads with a failing allocation", runs_);
  EXPECT_GT(runs_, 2 * operations_.size());
}

TEST_P(MemoryFault, OfAnOpeningIsReportedAndChangesNothing) {
  const auto before = start_->contents();
  std::uint64_t nth = 1;
  for (;; ++nth) {
    SCOPED_TRACE(fmt::format("allocation {}", nth));
    const auto opened = with_scarce_memory(nth, ScarceMemory::Times::Once, [&]() -> Result<void> {
      TRY(const auto disk, open(start_));
      return {};
    });
    if (ScarceMemory::failures() == 0) break;
    ASSERT_TRUE(opened.has_value() || opened.error().kind == ErrorKind::NoMemory) << opened.error().text;
    ASSERT_EQ(start_->contents(), before);
  }
  test::add_figure("openings with a failing allocation", nth);
  EXPECT_GT(nth, 5u);
}

template <class Options>
Options writable() {
  Options options;
  options.writable = true;
  options.flush_interval = std::chrono::milliseconds(0);
  options.cache_size = 1_MiB;
  return options;
}

Format qcow2_format() {
  const auto create = [] {
    auto file = std::make_shared<MemoryFile>();
    qcow2::CreateOptions options;
    options.size = kSize;
    options.cluster_size = 512_B;
    options.refcount_bits = 64;
    EXPECT_THAT(qcow2::create(*file, nullptr, options), Succeeds());
    return file;
  };
  const auto open = [](std::unique_ptr<HostFile> file) -> Result<std::unique_ptr<Image>> {
    TRY(qcow2::Header header, qcow2::read_header(*file));
    TRY(auto image,
        qcow2::Qcow2Image::open(std::move(file), std::move(header), nullptr, nullptr, writable<qcow2::OpenOptions>()));
    return image;
  };
  const auto judge = [](MemoryFile& file) { test::expect_no_errors(file, test::Leaks::MayBe); };
  // Whatever is shared is copied when it is written.
  const auto share = [](Disk& disk) { EXPECT_THAT(disk.create_snapshot(snapshot_now("one")), Succeeds()); };
  return {"qcow2", create, open, judge, share};
}

Format qcow1_format() {
  const auto create = [] {
    auto file = std::make_shared<MemoryFile>();
    EXPECT_THAT(qcow1::create(*file, {.size = kSize}), Succeeds());
    return file;
  };
  const auto open = [](std::unique_ptr<HostFile> file) -> Result<std::unique_ptr<Image>> {
    TRY(qcow1::Header header, qcow1::read_header(*file));
    TRY(auto image,
        qcow1::Qcow1Image::open(std::move(file), std::move(header), nullptr, writable<qcow1::OpenOptions>()));
    return image;
  };
  const auto judge = [](MemoryFile& file) {
    const auto header = qcow1::read_header(file);
    ASSERT_THAT(header, Succeeds());
    const auto report = qcow1::check(file, *header);
    ASSERT_THAT(report, Succeeds());
    EXPECT_TRUE(report->is_clean());
  };
  return {"qcow", create, open, judge, [](Disk& /*disk*/) {}};
}

INSTANTIATE_TEST_SUITE_P(Formats, MemoryFault, ::testing::Values(qcow2_format(), qcow1_format()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
