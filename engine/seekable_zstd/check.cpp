#include "seekable_zstd/check.h"

#include <algorithm>

#include "base/side_by_side.h"
#include "seekable_zstd/file_frames.h"
#include "seekable_zstd/frame_decoder.h"
#include "seekable_zstd/frame_scan.h"
#include "seekable_zstd/unpacking.h"

namespace flatimg::seekable_zstd {

namespace {

constexpr std::size_t kBatch = 1024;
constexpr ByteCount kMemory{64u << 20};  // for all threads that decode

// What the table says of a frame that the walk has met; the frames of the table are in the same order.
class TableCheck {
 public:
  TableCheck(const Frames& table, CheckReport report) : table_(table), report_(std::move(report)) {}

  void add(const FoundFrame& found) {
    if (found.content && found.content->is_zero()) return;  // not in the list
    const std::uint64_t begin = found.stored.begin.value();
    if (next_ < table_.count() && table_.frame(next_).stored.begin < found.stored.begin) {
      report_.corruption("the seek table has a frame at byte {}, where none begins",
                         table_.frame(next_).stored.begin.value());
      while (next_ < table_.count() && table_.frame(next_).stored.begin < found.stored.begin) ++next_;
    }
    if (next_ == table_.count() || table_.frame(next_).stored.begin > found.stored.begin) {
      note_missing(found);
      return;
    }
    const Frame told = table_.frame(next_++);
    if (told.stored.length != found.stored.length) {
      report_.corruption("the frame at byte {} takes {} bytes, but {} by the seek table", begin,
                         found.stored.length.value(), told.stored.length.value());
    }
    if (found.content && *found.content != told.content) {
      report_.corruption("the frame at byte {} holds {} bytes, but {} by the seek table", begin, found.content->value(),
                         told.content.value());
    }
  }
  // The table may well say of an empty frame that it is empty.
  void note_missing(const FoundFrame& found) {
    const std::uint64_t begin = found.stored.begin.value();
    if (found.content) {
      report_.corruption("the frame at byte {} is missing in the seek table", begin);
    } else {
      ++report_.check_errors;
      report_.tell("the frame at byte {} is empty by the seek table, and does not say so itself", begin);
    }
  }
  [[nodiscard]] CheckReport finish() && {
    if (next_ < table_.count()) {
      report_.corruption("the seek table has a frame at byte {}, where none begins",
                         table_.frame(next_).stored.begin.value());
    }
    return std::move(report_);
  }

 private:
  const Frames& table_;
  CheckReport report_;
  std::size_t next_ = 0;
};

Result<CheckReport> compare_with_table(HostFile& file, const Frames& table, ByteCount most, CheckReport report) {
  TRY(FrameScan scan, FrameScan::of(file, most));
  TableCheck comparison(table, std::move(report));
  for (;;) {
    auto found = scan.next();
    if (!found && found.error().kind == ErrorKind::Io) return Failure(std::move(found.error()));
    if (!found) {
      report = std::move(comparison).finish();
      report.corruption("{}", found.error().text);
      return report;
    }
    if (!*found) return std::move(comparison).finish();
    comparison.add(**found);
  }
}

struct Checked {
  FileFrames file_frames;
  CheckReport report;
};

Result<Checked> check_structure(HostFile& file, ByteCount most) {
  TRY(FileFrames frames, read_frames(file, most));
  CheckReport report;
  TRY(report.image_end, file.size());
  report.total_clusters = report.allocated_clusters = report.compressed_clusters = frames.frames.count();
  if (frames.source == FileFrames::Source::SeekTable) {
    TRY(report, compare_with_table(file, frames.frames, most, std::move(report)));
  }
  return Checked{std::move(frames), std::move(report)};
}

// Every frame once, a batch at a time side by side; what is found is told in the order of the frames.
class DataCheck {
 public:
  DataCheck(HostFile& file, const Frames& frames) : file_(file), frames_(frames) {
    const std::uint64_t fitting = kMemory / std::max(1_B, frames.largest() * 2);
    threads_ = std::clamp<std::uint64_t>(fitting, 1, processors());
  }

  Result<CheckReport> run(CheckReport report, const Progress& progress) {
    for (std::size_t begin = 0; begin < frames_.count(); begin += kBatch) {
      for (const auto& outcome : decode_batch(begin, std::min(begin + kBatch, frames_.count()))) {
        if (outcome) continue;
        const ErrorKind kind = outcome.error().kind;
        if (kind != ErrorKind::CorruptImage && kind != ErrorKind::Unsupported) return Failure(outcome.error());
        report.corruption("{}", outcome.error().text);
      }
      tell(progress, std::min(begin + kBatch, frames_.count()), frames_.count());
    }
    return report;
  }

 private:
  std::vector<Result<void>> decode_batch(std::size_t begin, std::size_t end) {
    std::vector<Result<void>> outcomes(end - begin);
    side_by_side(threads_, outcomes.size(), [&](std::size_t, std::size_t n) { outcomes[n] = try_frame(begin + n); });
    return outcomes;
  }
  Result<void> try_frame(std::size_t index) {
    try {
      CHECK(decode_frame(file_, frames_.frame(index), blocks_));
      return {};
    } catch (const std::bad_alloc&) {  // must not leave a thread
      return fail(ErrorKind::NoMemory, "{}: no memory to decode a frame", file_.name());
    }
  }

  HostFile& file_;
  const Frames& frames_;
  std::size_t threads_ = 1;
  BlockPool blocks_{kMemory};
};

// --- frames that are too large to be decoded one by one --------------------------------------------------------------

bool too_large(const Result<Checked>& checked) { return !checked && checked.error().kind == ErrorKind::Limit; }

Result<CheckReport> report_on_large(HostFile& file, const Survey& known) {
  CheckReport report;
  TRY(report.image_end, file.size());
  report.total_clusters = report.allocated_clusters = report.compressed_clusters = known.frames;
  return report;
}

Result<CheckReport> check_large(HostFile& file) {
  TRY(const Survey known, survey(file));
  return report_on_large(file, known);
}

Result<CheckReport> check_large_with_data(HostFile& file, const Progress& progress) {
  TRY(const Survey known, survey(file));
  TRY(CheckReport report, report_on_large(file, known));
  const auto size = measure(file, known, progress);
  if (size) return report;
  if (size.error().kind != ErrorKind::CorruptImage && size.error().kind != ErrorKind::InvalidImage) {
    return Failure(size.error());
  }
  report.corruption("{}", size.error().text);
  return report;
}

}  // namespace

Result<CheckReport> check(HostFile& file, ByteCount most) {
  auto checked = check_structure(file, most);
  if (too_large(checked)) return check_large(file);
  if (!checked) return Failure(std::move(checked.error()));
  return std::move(checked->report);
}

Result<CheckReport> check_with_data(HostFile& file, ByteCount most, const Progress& progress) {
  auto checked = check_structure(file, most);
  if (too_large(checked)) return check_large_with_data(file, progress);
  if (!checked) return Failure(std::move(checked.error()));
  return DataCheck(file, checked->file_frames.frames).run(std::move(checked->report), progress);
}

}  // namespace flatimg::seekable_zstd
