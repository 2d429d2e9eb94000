#include "soak/fsx/player.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/aligned_buffer.h"

namespace flatimg::test::fsx {

namespace {

[[noreturn]] void failed(const Operation& what) {
  throw Finding(fmt::format("{}: {}", text_of(what), std::strerror(errno)));
}

void must(bool done, const Operation& what) {
  if (!done) failed(what);
}

off_t as_off(std::uint64_t place) { return static_cast<off_t>(place); }

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte one) { return one == std::byte{0}; });
}

constexpr std::uint64_t kPage = 4096;

/// Whole pages around a range of the disk, in memory.
class Mapping {
 public:
  Mapping(int fd, const Operation& what) : skipped_(what.at % kPage), length_(what.length + skipped_) {
    memory_ = ::mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, as_off(what.at - skipped_));
    must(memory_ != MAP_FAILED, what);
  }
  ~Mapping() { ::munmap(memory_, length_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  [[nodiscard]] std::span<std::byte> bytes() const {
    return std::span(static_cast<std::byte*>(memory_), length_).subspan(skipped_);
  }
  [[nodiscard]] int write_back() const { return ::msync(memory_, length_, MS_SYNC); }

 private:
  std::size_t skipped_;
  std::size_t length_;
  void* memory_ = nullptr;
};

}  // namespace

Player::Player(DiskUnderTest& disk) : disk_(disk), expected_(disk.start()) {}

void Player::play(const Operation& operation) {
  const Operation what = clipped(operation);
  switch (what.kind) {
    case Kind::Read:
    case Kind::DirectRead:
      read(what);
      break;
    case Kind::Write:
    case Kind::DirectWrite:
    case Kind::Spoil:
      write(what);
      break;
    case Kind::MappedRead:
      read_mapped(what);
      break;
    case Kind::MappedWrite:
      write_mapped(what);
      break;
    case Kind::Punch:
    case Kind::ZeroRange:
    case Kind::Allocate:
      punch_or_zero(what);
      break;
    case Kind::Seek:
      seek(what);
      break;
    case Kind::Sync:
      must((what.number % 2 == 0 ? ::fsync(disk_.file()) : ::fdatasync(disk_.file())) == 0, what);
      break;
    case Kind::DropCaches:
      must(::posix_fadvise(disk_.file(), 0, 0, POSIX_FADV_DONTNEED) == 0, what);
      break;
    case Kind::Reopen:
      disk_.reopen();
      break;
    case Kind::Remount:
      disk_.remount();
      read_all();
      break;
    case Kind::Resize:
      resize(what);
      break;
    case Kind::ReadAll:
      read_all();
      break;
  }
  played_.push_back(what);
}

// O_DIRECT moves whole sectors: what begins inside the disk ends at its end, which is at a sector.
Operation Player::clipped(Operation operation) const {
  if (operation.kind == Kind::Resize) return operation;
  operation.at = std::min<std::uint64_t>(operation.at, expected_.size());
  operation.length = std::min<std::uint64_t>(operation.length, expected_.size() - operation.at);
  return operation;
}

std::vector<std::byte> Player::payload(const Operation& what) const {
  std::vector<std::byte> bytes(what.length);
  for (std::uint64_t n = 0; n < what.length; ++n) bytes[n] = byte_written(what, what.at + n);
  return bytes;
}

void Player::read(const Operation& what) {
  AlignedBuffer memory;
  const auto found = memory.at_least(what.length);
  const int fd = what.kind == Kind::DirectRead ? disk_.direct() : disk_.file();
  const ssize_t got = ::pread(fd, found.data(), found.size(), as_off(what.at));
  must(got >= 0, what);
  if (static_cast<std::size_t>(got) != found.size())
    throw Finding(fmt::format("{}: only {} bytes", text_of(what), got));
  compare(what.at, found);
}

void Player::write(const Operation& what) {
  const auto bytes = payload(what);
  AlignedBuffer memory;
  const auto aligned = memory.at_least(what.length);
  std::copy(bytes.begin(), bytes.end(), aligned.begin());
  const int fd = what.kind == Kind::DirectWrite ? disk_.direct() : disk_.file();
  must(::pwrite(fd, aligned.data(), what.length, as_off(what.at)) == static_cast<ssize_t>(what.length), what);
  if (what.kind != Kind::Spoil) std::copy(bytes.begin(), bytes.end(), expected_.begin() + as_off(what.at));
}

void Player::read_mapped(const Operation& what) {
  if (what.length == 0) return;
  const Mapping mapping(disk_.file(), what);
  compare(what.at, mapping.bytes());
}

void Player::write_mapped(const Operation& what) {
  if (what.length == 0) return;
  const auto bytes = payload(what);
  const Mapping mapping(disk_.file(), what);
  std::copy(bytes.begin(), bytes.end(), mapping.bytes().begin());
  if (what.number % 3 == 0) must(mapping.write_back() == 0, what);
  std::copy(bytes.begin(), bytes.end(), expected_.begin() + as_off(what.at));
}

void Player::punch_or_zero(const Operation& what) {
  if (what.length == 0) return;
  const int mode = what.kind == Kind::Punch ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
                   : what.kind == Kind::ZeroRange
                       ? FALLOC_FL_ZERO_RANGE | (what.number % 2 == 0 ? FALLOC_FL_KEEP_SIZE : 0)
                       : 0;
  must(::fallocate(disk_.file(), mode, as_off(what.at), as_off(what.length)) == 0, what);
  if (what.kind != Kind::Allocate) std::fill_n(expected_.begin() + as_off(what.at), what.length, std::byte{0});
}

void Player::seek(const Operation& what) {
  const std::uint64_t size = expected_.size();
  const auto data_behind = [&](std::uint64_t place) -> std::uint64_t {
    const off_t found = ::lseek(disk_.file(), as_off(place), SEEK_DATA);
    if (found < 0 && errno == ENXIO) return size;
    must(found >= as_off(place), what);
    return static_cast<std::uint64_t>(found);
  };
  if (what.at == size) return;
  expect_zeroes(what.at, data_behind(what.at), "in front of what SEEK_DATA names");
  const off_t found = ::lseek(disk_.file(), as_off(what.at), SEEK_HOLE);
  must(found >= as_off(what.at) && found <= as_off(size), what);
  const auto hole = static_cast<std::uint64_t>(found);
  if (hole < size) expect_zeroes(hole, data_behind(hole), "in the hole that SEEK_HOLE names");
}

void Player::resize(const Operation& what) {
  must(::ftruncate(disk_.file(), as_off(what.at)) == 0, what);
  struct stat status {};
  must(::fstat(disk_.file(), &status) == 0, what);
  if (status.st_size != as_off(what.at)) throw Finding(fmt::format("{}: it ends at {}", text_of(what), status.st_size));
  expected_.resize(what.at);
}

void Player::read_all() {
  read({Kind::Read, 0, expected_.size(), 0});
  std::byte beyond{};
  if (::pread(disk_.file(), &beyond, 1, as_off(expected_.size())) != 0)
    throw Finding("there is something beyond the end");
}

void Player::expect_zeroes(std::uint64_t from, std::uint64_t to, const std::string& why) const {
  if (to > expected_.size() || !all_zero(std::span(expected_).subspan(from, to - from))) {
    throw Finding(fmt::format("{}: {} to {} holds data", why, from, to));
  }
}

void Player::compare(std::uint64_t at, std::span<const std::byte> found) const {
  const auto* const expected = expected_.data() + at;
  if (std::memcmp(expected, found.data(), found.size()) == 0) return;
  const auto differs = [&](std::size_t n) { return found[n] != expected[n]; };
  std::size_t first = 0;
  while (!differs(first)) ++first;
  std::size_t last = found.size() - 1;
  while (!differs(last)) --last;
  throw Finding(fmt::format("{} to {} differ; at {} is {:#x} ({}) instead of {:#x} ({})", at + first, at + last + 1,
                            at + first, static_cast<unsigned>(found[first]), origin_of(found[first], at + first),
                            static_cast<unsigned>(expected[first]), origin_of(expected[first], at + first)));
}

// The last that could have written this byte here.
std::string Player::origin_of(std::byte found, std::uint64_t place) const {
  for (auto one = played_.rbegin(); one != played_.rend(); ++one) {
    if (place < one->at || place >= one->at + one->length) continue;
    const bool writes = one->kind == Kind::Write || one->kind == Kind::DirectWrite || one->kind == Kind::MappedWrite ||
                        one->kind == Kind::Spoil;
    const bool zeroes = one->kind == Kind::Punch || one->kind == Kind::ZeroRange;
    if (writes && byte_written(*one, place) == found) return text_of(*one);
    if (zeroes && found == std::byte{0}) return text_of(*one);
  }
  return found == std::byte{0} ? "zero" : "nobody's, or there from the start";
}

std::optional<Failure> play_all(const Course& course, std::span<const Operation> run) {
  std::size_t at = 0;
  try {
    DiskUnderTest disk(course);
    Player player(disk);
    for (; at < run.size(); ++at) player.play(run[at]);
    player.play({Kind::ReadAll, 0, 0, 0});
    disk.end(player.expected());
  } catch (const Finding& finding) {
    return Failure{at, finding.what()};
  }
  return std::nullopt;
}

}  // namespace flatimg::test::fsx
