#include "seekable_zstd/unpacking.h"

#include <algorithm>

#include "base/limits.h"
#include "base/zeroes.h"
#include "seekable_zstd/frame_scan.h"
#include "seekable_zstd/seek_table.h"

namespace flatimg::seekable_zstd {

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr std::size_t kHole = 4096;
constexpr ByteCount kWindowToMeasure = 64_MiB;
constexpr std::uint64_t kSpaceCheck = 64 * kPiece;

Failure stopped() { return fail(ErrorKind::Io, "the mount is ending"); }

// Reads the file from its beginning to its end, for the decoder.
class Input {
 public:
  Input(HostFile& file, ByteCount size) : file_(file), size_(size), buffer_(kPiece) {}

  [[nodiscard]] bool at_end() const { return read_ == size_ && rest_.empty(); }
  Result<std::span<const std::byte>> bytes() {
    if (!rest_.empty() || read_ == size_) return rest_;
    const auto piece = buffer_.at_least(std::min<std::uint64_t>(kPiece, (size_ - read_).value()));
    CHECK(file_.read(HostOffset(read_.value()), piece));
    read_ += ByteCount(piece.size());
    rest_ = piece;
    return rest_;
  }
  void take(std::size_t count) { rest_ = rest_.subspan(count); }
  [[nodiscard]] ByteCount taken() const { return read_ - ByteCount(rest_.size()); }

 private:
  HostFile& file_;
  const ByteCount size_;
  AlignedBuffer buffer_;
  ByteCount read_;
  std::span<const std::byte> rest_;
};

Failure wrong_size(const HostFile& packed, const Survey& expected) {
  return fail(ErrorKind::CorruptImage, "{}: its frames do not hold the {} bytes that they state", packed.name(),
              expected.size->value());
}

Result<void> check_size(const HostFile& packed, const Survey& expected, ByteCount so_far, ByteCount most) {
  if (expected.size && so_far > *expected.size) return wrong_size(packed, expected);
  if (so_far <= most) return {};
  return fail(ErrorKind::Limit, "{}: holds more than {} bytes: raise unpack-size", packed.name(), most.value());
}

// A seek table tells the size, too, and has to be true.
Result<Survey> with_seek_table(HostFile& packed, Survey found) {
  TRY(const auto table, read_seek_table(packed));
  if (!table) return found;
  if (found.size && *found.size != table->size()) {
    return fail(ErrorKind::CorruptImage, "{}: its seek table tells of {} bytes, and the frames state {}", packed.name(),
                table->size().value(), found.size->value());
  }
  found.size = table->size();
  return found;
}

}  // namespace

Result<Survey> survey(HostFile& packed) {
  TRY(FrameScan scan, FrameScan::of(packed, limits::kDisk));
  Survey found{0, ByteCount()};
  for (;;) {
    TRY(const auto frame, scan.next());
    if (!frame) return with_seek_table(packed, found);
    ++found.frames;
    if (!frame->content) found.size.reset();
    if (found.size && *frame->content > limits::kDisk - *found.size) {
      return fail(ErrorKind::Limit, "{}: states more bytes than a disk can have", packed.name());
    }
    if (found.size) *found.size += *frame->content;
  }
}

Result<ByteCount> unpack(HostFile& packed, const Survey& expected, UnpackLimits limits, const TakePiece& take,
                         const Progress& progress) {
  TRY(const ByteCount packed_size, packed.size());
  TRY(ZstdStream stream, ZstdStream::with_window(limits.window));
  Input input(packed, packed_size);
  AlignedBuffer memory(kPiece);
  const auto piece = memory.at_least(kPiece);
  std::size_t filled = 0;
  ByteCount done;
  for (bool more = true; more;) {
    TRY(const auto bytes, input.bytes());
    auto step = stream.run(bytes, piece.subspan(filled));
    if (!step) return Failure(std::move(step.error()).within(packed.name()));
    input.take(step->taken);
    filled += step->given;
    // At the end of the input the decoder may hold back bytes that found no room.
    more = !input.at_end() || (step->given != 0 && filled == kPiece);
    CHECK(check_size(packed, expected, done + ByteCount(filled), limits.size));
    if (filled < kPiece && more) continue;
    CHECK(take(piece.first(filled)));
    done += ByteCount(std::exchange(filled, 0));
    tell(progress, input.taken().value(), packed_size.value());
  }
  if (!stream.between_frames()) {
    return fail(ErrorKind::InvalidImage, "{}: the file ends within a frame: it is incomplete", packed.name());
  }
  if (expected.size && done != *expected.size) return wrong_size(packed, expected);
  return done;
}

Result<ByteCount> measure(HostFile& packed, const Survey& expected, const Progress& progress) {
  const auto drop = [](std::span<const std::byte>) { return Result<void>(); };
  return unpack(packed, expected, {kWindowToMeasure, limits::kDisk}, drop, progress);
}

// --- in the background ----------------------------------------------------------------------------------------------

Unpacking::Unpacking(HostFile& packed, HostFile& into, const Survey& expected, UnpackLimits limits,
                     CheckSpace check_space, Complete complete)
    : packed_(packed),
      into_(into),
      expected_(expected),
      limits_(limits),
      check_space_(std::move(check_space)),
      complete_(std::move(complete)),
      thread_([this] { run(); }) {}

Unpacking::~Unpacking() {
  stop_ = true;
  thread_.join();
}

void Unpacking::run() {
  auto outcome = unpack_all();
  const bool complete = outcome.has_value();
  {
    const MutexLock lock(mutex_);
    outcome_ = std::move(outcome);
    failed_ = !complete;
  }
  changed_.notify_all();
  if (complete) complete_();
}

Result<ByteCount> Unpacking::unpack_all() {
  TRY(const ByteCount size,
      unpack(packed_, expected_, limits_, [this](std::span<const std::byte> piece) { return store(piece); }));
  CHECK(into_.resize(size));
  CHECK(into_.barrier());
  return size;
}

// Pieces begin at multiples of their size, so blocks of the file are whole.
Result<void> Unpacking::store(std::span<const std::byte> piece) {
  const std::uint64_t begin = done_;
  if (stop_) return stopped();
  if (begin % kSpaceCheck == 0) CHECK(check_space_());
  for (std::size_t at = 0; at < piece.size();) {
    const auto block_at = [&](std::size_t where) {
      return piece.subspan(where, std::min(kHole, piece.size() - where));
    };
    std::size_t end = at;
    while (end < piece.size() && !is_all_zero(block_at(end))) end += block_at(end).size();
    if (end > at) CHECK(into_.write(HostOffset(begin + at), piece.subspan(at, end - at)));
    while (end < piece.size() && is_all_zero(block_at(end))) end += block_at(end).size();
    at = end;
  }
  {
    const MutexLock lock(mutex_);
    done_.store(begin + piece.size(), std::memory_order_release);
  }
  changed_.notify_all();
  return {};
}

Result<HostOffset> Unpacking::wait_for(HostOffset at) {
  const ByteCount wanted = at - HostOffset(0);
  if (!failed_ && done() > wanted) return HostOffset(done().value());
  const MutexLock lock(mutex_);
  while (!outcome_ && done() <= wanted) changed_.wait(mutex_);
  if (outcome_ && !*outcome_) return Failure(outcome_->error());
  if (done() > wanted) return HostOffset(done().value());
  return fail(ErrorKind::OutOfRange, "the disk ends before that");
}

Result<ByteCount> Unpacking::wait_for_end() {
  const MutexLock lock(mutex_);
  while (!outcome_) changed_.wait(mutex_);
  return *outcome_;
}

}  // namespace flatimg::seekable_zstd
