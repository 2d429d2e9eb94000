#include "soak/fsx/disk_under_test.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "support/matchers.h"

namespace flatimg::test::fsx {

namespace {

bool is_loop(Way way) { return way == Way::Loop || way == Way::DirectLoop; }

// Runs of 40,000 bytes: zeroes, noise, and what compresses well.
std::string mixed_content(std::uint64_t size) {
  constexpr std::uint64_t kRun = 40'000;
  auto bytes = noise(size, 5);
  for (std::uint64_t at = 0; at < size; ++at) {
    if (at / kRun % 3 == 0) bytes[at] = std::byte{0};
    if (at / kRun % 3 == 2) bytes[at] = static_cast<std::byte>(at / 512);
  }
  return flatimg::test::text_of(bytes);
}

}  // namespace

std::string why_not(Way way) {
  if (way == Way::Plain) return {};
  return is_loop(way) ? why_no_loop_devices() : why_no_mounts();
}

Bounds bounds_of(const Course& course) {
  Bounds bounds{course.size, 1, {}};
  const auto& options = course.options;
  const bool growable =
      course.way == Way::Plain || std::find(options.begin(), options.end(), "growable") != options.end();
  if (!growable) bounds.left_out = {Kind::Resize};
  if (is_loop(course.way)) {
    bounds.grain = 512;
    bounds.left_out = {Kind::Resize, Kind::Seek, Kind::Allocate};  // what block devices do not know
  }
  return bounds;
}

DiskUnderTest::DiskUnderTest(const Course& course) : course_(course) {
  std::filesystem::create_directory(folder_);
  dir_.write("disks/start.raw", mixed_content(course.size));
  dir_.write("flat", "");
  std::filesystem::create_directory(dir_ / "mnt");
  run_script(course.make);
  mount();
  open();
}

DiskUnderTest::~DiskUnderTest() {
  for (const int fd : {file_, direct_}) {
    if (fd >= 0) ::close(fd);
  }
}

std::vector<std::byte> DiskUnderTest::start() const {
  std::string content = contents_of(folder_ + "/expected.raw");
  content.resize(course_.size);
  const auto bytes = bytes_of(content);
  return {bytes.begin(), bytes.end()};
}

void DiskUnderTest::reopen() {
  close();
  open();
}

void DiskUnderTest::remount() {
  close();
  unmount();
  mount();
  open();
}

void DiskUnderTest::end(const std::vector<std::byte>& content) {
  close();
  unmount();
  dir_.write("disks/end.raw", flatimg::test::text_of(content));
  run_script(course_.judge);
}

void DiskUnderTest::run_script(const std::string& script) const {
  const auto done = shell("cd " + folder_ + "; SIZE=" + std::to_string(course_.size) + "; exec 2>&1; " + script);
  if (done.exit_code != 0) throw Finding(script + "\n" + done.output);
}

void DiskUnderTest::mount() {
  if (course_.way == Way::Plain) return;
  std::vector<std::string> options = course_.options;
  for (std::string& option : options) {
    if (const auto at = option.find("$D"); at != std::string::npos) option.replace(at, 2, folder_);
  }
  const std::string source = course_.way == Way::Tree ? folder_ : folder_ + "/disk";
  mounted_ = std::make_unique<MountedImage>(source, dir_ / (course_.way == Way::File ? "flat" : "mnt"), options);
  if (!mounted_->mounted()) throw Finding("it cannot be mounted");
  if (!is_loop(course_.way)) return;
  const std::string direct = course_.way == Way::DirectLoop ? "on" : "off";
  loop_ = std::make_unique<LoopDevice>(mounted_->flat(), std::vector<std::string>{"--direct-io=" + direct});
  if (loop_->path().empty()) throw Finding("no loop device");
}

void DiskUnderTest::unmount() {
  loop_.reset();
  if (mounted_ == nullptr) return;
  if (const auto gone = mounted_->unmount(); gone.exit_code != 0) throw Finding("unmounting: " + gone.output);
  mounted_.reset();
}

std::string DiskUnderTest::path() const {
  if (loop_) return loop_->path();
  if (course_.way == Way::Tree) return dir_ / "mnt/disk";
  return mounted_ ? mounted_->flat() : folder_ + "/disk";
}

void DiskUnderTest::open() {
  file_ = ::open(path().c_str(), O_RDWR | O_CLOEXEC);
  if (file_ < 0) throw Finding("open " + path() + ": " + std::strerror(errno));
  direct_ = ::open(path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
  if (direct_ < 0 && course_.way == Way::Plain) direct_ = ::open(path().c_str(), O_RDWR | O_CLOEXEC);  // old tmpfs
  if (direct_ < 0) throw Finding("open " + path() + " with O_DIRECT: " + std::strerror(errno));
}

void DiskUnderTest::close() {
  for (int* const fd : {&file_, &direct_}) {
    if (*fd >= 0 && ::close(*fd) != 0) throw Finding(std::string("close: ") + std::strerror(errno));
    *fd = -1;
  }
}

}  // namespace flatimg::test::fsx
