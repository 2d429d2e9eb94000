#include "model/random_work.h"

#include <algorithm>

#include "catalog/open.h"
#include "support/figures.h"
#include "support/from_environment.h"
#include "support/matchers.h"
#include "support/process.h"
#include "view/disk_audit.h"

namespace flatimg::test {

namespace {

bool failed() { return ::testing::Test::HasFatalFailure(); }

/// A whole look at the tables finds nothing in whatever state random operations have left them.
void expect_sound(Disk& disk) {
  DiskAudit audit(disk);
  while (audit.step({}) == DiskAudit::Step::Made) {
  }
  EXPECT_EQ(audit.failures(), 0u);
  EXPECT_FALSE(disk.corruption().has_value()) << *disk.corruption();
}

}  // namespace

std::uint64_t RandomWork::seed_of_this_run() { return from_environment("FLATIMG_SEED", 20240817); }

// On a busy machine qemu-img may fail to measure its own speed, which it does to make a LUKS header.
void RandomWork::must_run(const std::string& line) const {
  const std::vector<std::string> command{"sh", "-c", "cd " + dir_.path().string() + " && " + line};
  auto finished = run(command);
  for (int n = 0; n < 50 && finished.output.find("accurate CPU usage") != std::string::npos; ++n)
    finished = run(command);
  ASSERT_EQ(finished.exit_code, 0) << line << "\n" << finished.output << "seed " << seed_;
}

void RandomWork::write_random(const std::string& name, std::uint64_t size) {
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t run = std::min<std::size_t>(bytes.size() - at, 1 + random_() % 100000);
    const auto sort = random_() % 3;
    for (std::size_t n = 0; n < run; ++n) {
      bytes[at + n] = sort == 0 ? static_cast<char>(random_()) : sort == 1 ? static_cast<char>(run % 251) : '\0';
    }
    at += run;
  }
  dir_.write(name, bytes);
}

void RandomWork::write(const std::string& name, const DiskModel& content) const {
  dir_.write(name, text_of(content.all()));
}

void RandomWork::load_model(const std::string& raw) {
  const std::string text = contents_of(path(raw));
  const auto bytes = bytes_of(text);
  model_.emplace(std::vector<std::byte>(bytes.begin(), bytes.end()));
}

void RandomWork::open(const std::string& image) {
  catalog::OpenRequest request;
  request.path = path(image);
  request.cache_size = ByteCount(random_() % 2 == 0 ? 64u << 20 : 64u << 10);
  request.passphrase = std::make_shared<const Secret>(Secret::copy(bytes_of("abc")));
  auto opened = catalog::open_image(request);
  ASSERT_THAT(opened, Succeeds());
  disk_ = std::make_unique<Disk>(std::move(opened->chain), DiskOptions{});
  ASSERT_TRUE(disk_->writable()) << disk_->traits().read_only_reason;
  ASSERT_EQ(disk_->size(), model_->size());
}

void RandomWork::close() {
  expect_sound(*disk_);
  EXPECT_THAT(disk_->close(), Succeeds());
  disk_.reset();
}

GuestRange RandomWork::random_range() {
  const std::uint64_t size = model_->size().value();
  const std::uint64_t most = std::uint64_t{1} << random_() % 21;
  std::uint64_t begin = random_() % size;
  std::uint64_t length = 1 + random_() % most;
  if (random_() % 2 == 0) {  // what file systems do
    begin = begin / 4096 * 4096;
    length = (length + 4095) / 4096 * 4096;
  }
  if (random_() % 16 == 0) begin = size - std::min(size, length);  // the end is special
  return {GuestOffset(begin), ByteCount(std::min(length, size - begin))};
}

void RandomWork::write_something(GuestRange range) {
  std::vector<std::byte> data(range.length.value());
  const auto first = random_();
  for (std::size_t n = 0; n < data.size(); ++n) data[n] = static_cast<std::byte>((first + n / 512 + n % 7) & 0xff);
  ASSERT_THAT(disk_->write(range.begin, data), Succeeds());
  model_->write(range.begin, data);
}

void RandomWork::zero(GuestRange range, Space space) {
  ASSERT_THAT(disk_->zero(range, space), Succeeds());
  model_->zero(range);
}

void RandomWork::expect_equal(GuestRange range) const {
  std::vector<std::byte> data(range.length.value());
  ASSERT_THAT(disk_->read(range.begin, data), Succeeds());
  const auto expected = model_->bytes(range);
  const auto difference = std::mismatch(data.begin(), data.end(), expected.begin());
  ASSERT_EQ(difference.first, data.end())
      << "first difference at guest byte "
      << range.begin.value() + static_cast<std::uint64_t>(difference.first - data.begin()) << ", seed " << seed_;
}

void RandomWork::expect_holes_read_zero() {
  std::uint64_t data_bytes = 0;
  for (GuestOffset at; at.value() < disk_->size().value();) {
    const auto data = disk_->next_data(at);
    ASSERT_THAT(data, Succeeds());
    const auto hole = model_->bytes(GuestRange::between(at, data->value_or(GuestOffset(disk_->size().value()))));
    ASSERT_TRUE(std::all_of(hole.begin(), hole.end(), [](std::byte b) { return b == std::byte{0}; }));
    if (!*data) break;
    const auto next = disk_->next_hole(**data);
    ASSERT_THAT(next, Succeeds());
    data_bytes += (*next - **data).value();
    at = *next;
  }
  EXPECT_EQ(disk_->data_bytes().value(), data_bytes) << "seed " << seed_;
}

void RandomWork::one_operation() {
  const GuestRange range = random_range();
  switch (random_() % 16) {
    case 0:
    case 1:
      return zero(range, Space::Release);
    case 2:
      return zero(range, Space::Keep);
    case 3:
      ASSERT_THAT(disk_->allocate(range), Succeeds());
      break;
    case 4:
      ASSERT_THAT(disk_->flush(), Succeeds());
      return expect_sound(*disk_);
    case 5:
    case 6:
    case 7:
      return expect_equal(range);
    case 8:
      (void)disk_->data_bytes();
      break;
    default:
      write_something(range);
  }
}

void RandomWork::work_on(const std::string& image) {
  const std::uint64_t operations = from_environment("FLATIMG_OPERATIONS", 1000);
  for (int round = 0; round < 3; ++round) {
    open(image);
    for (std::uint64_t n = 0; n < operations && !failed(); ++n) operate();
    if (failed()) return;
    expect_equal({GuestOffset(0), model_->size()});
    expect_holes_read_zero();
    close();
    judge();
    if (::testing::Test::HasFailure()) return;
  }
  add_figure("operations against a model", 3 * operations);
}

}  // namespace flatimg::test
