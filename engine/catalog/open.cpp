#include "catalog/open.h"

#include <algorithm>

#include "android_sparse/sparse_image.h"
#include "base/text.h"
#include "catalog/chain_rules.h"
#include "catalog/chain_walk.h"
#include "catalog/overlay.h"
#include "catalog/split_pieces.h"
#include "composite/composite_image.h"
#include "host/file_lock.h"
#include "host/gate.h"
#include "host/sticky_file.h"
#include "qcow1/qcow1_image.h"
#include "qcow2/qcow2_image.h"
#include "raw/raw_image.h"
#include "seekable_zstd/unpacked_image.h"
#include "seekable_zstd/zstd_image.h"

namespace flatimg::catalog {

namespace {

// A file that the command line names. The first is the top; the next ones come behind it, whatever the images say.
struct Named {
  std::string path;
  std::optional<std::string> format;  // nullopt: what is recorded, or probe
};

std::vector<Named> named_files(const OpenRequest& request) {
  std::vector<Named> named;
  if (request.overlay) named.push_back({*request.overlay, "qcow2"});
  named.push_back({request.path, request.format});
  if (request.backing) named.push_back({*request.backing, std::nullopt});
  return named;
}

// One file of the chain that is being opened.
struct Source {
  std::unique_ptr<HostFile> file;
  std::string path;                   // names in the image are relative to its directory
  std::optional<std::string> format;  // nullopt: probe
  Access access = Access::ReadOnly;
  std::shared_ptr<BarrierMemory> barriers = new_barrier_memory();  // the files of one image fail together
};

class Opener {
 public:
  Opener(const OpenRequest& request, Gate gate)
      : request_(request), gate_(std::move(gate)), named_(named_files(request)), cache_left_(request.cache_size) {}

  Result<Opened> open();
  /// Why a part of the disk that failed to open can only be read; nullopt when that was not the reason.
  [[nodiscard]] const std::optional<std::string>& unwritable_part() const { return unwritable_part_; }

 private:
  Result<Source> open_top();
  Result<Source> readable_if_never_written(Source source) const;
  Result<Image*> open_source(Source source);
  Result<Image*> open_raw(Source source, bool guessed);
  Result<Image*> open_sparse(Source source);
  Result<Image*> open_zstd(Source source);
  Result<Image*> open_large_zstd(Source source, ByteCount cache, const Result<seekable_zstd::FileFrames>& why);
  Result<std::vector<std::unique_ptr<HostFile>>> open_further_pieces(const std::string& first);
  [[nodiscard]] std::string reason_not_to_write(std::string_view format) const;
  Result<Image*> open_qcow2(Source source);
  Result<Image*> open_composite(Source source);
  Result<Source> find_part(const composite::Part& part, const Source& whole);
  Result<composite::OpenPart> open_part(const composite::Part& part, Source source);
  Result<Image*> open_qcow1(Source source);
  using Recorded = std::optional<Backing>;  // what an image says is behind it
  Result<Image*> open_backing(const Recorded& recorded, const std::string& asking_path);
  Result<Source> open_named_backing(const Named& named, const Recorded& recorded, const std::string& asking_path);
  Result<Source> open_recorded_backing(const Backing& recorded, const std::string& asking_path);
  Result<void> must_be_overlay_of(const HostFile& image, const Recorded& recorded, const std::string& overlay);
  Result<void> open_base(Source base);
  [[nodiscard]] bool separate_base() const;
  [[nodiscard]] const Named* named_behind() const;
  Result<std::unique_ptr<HostFile>> open_data_file(const qcow2::Header& header, const Source& source);
  Result<void> lock(const HostFile& file, Access access);
  Image* keep(std::unique_ptr<Image> image);
  ByteCount take_cache_share(const Recorded& recorded);

  const OpenRequest& request_;
  Gate gate_;
  const std::vector<Named> named_;
  Opened opened_;
  ChainRules rules_;
  SharingRules sharing_;
  std::optional<std::string> unwritable_part_;
  ByteCount cache_left_;  // of the budget, for images further down
};

constexpr ByteCount kLeastWindow = 8_MiB;  // of a zstd frame: what every decoder should take

raw::FirstSectorGuard guard_for(const std::string& path) {
  return [path](std::span<const std::byte> sector) -> Result<void> {
    const std::string format = format_of(sector);
    if (format == "raw") return {};
    return fail(ErrorKind::Denied,
                "{}: this write would turn a disk that was taken for raw into {}: name its format with format=raw",
                path, format);
  };
}

Result<void> Opener::lock(const HostFile& file, Access access) {
  CHECK(sharing_.admit(file, access));
  if (!request_.locks) return {};
  return lock_image(file, access == Access::ReadWrite ? LockAs::Writer : LockAs::Reader);
}

Image* Opener::keep(std::unique_ptr<Image> image) {
  opened_.chain.push_back(std::move(image));
  return opened_.chain.back().get();
}

// --- the top --------------------------------------------------------------------------------------------------------

Result<Source> Opener::open_top() {
  Source top{nullptr, named_[0].path, named_[0].format, request_.access};
  auto file = request_.open_named(top.path, request_.access);
  if (!file && file.error().kind == ErrorKind::Denied && request_.access == Access::ReadWrite &&
      request_.read_only_if_need_be) {
    const std::string reason = file.error().text;
    file = request_.open_named(top.path, Access::ReadOnly);
    if (file) {
      top.access = Access::ReadOnly;
      opened_.notes.push_back(fmt::format("{}; opened read-only", reason));
    }
  }
  if (!file) return Failure(std::move(file.error()));
  top.file = *std::move(file);
  TRY(top, readable_if_never_written(std::move(top)));
  CHECK(lock(*top.file, top.access));
  return top;
}

// An image that nobody can write is locked as a reader, and its file not open for writing. Looks without a lock: should
// the file change meanwhile, it is read as what it is then, or refused.
Result<Source> Opener::readable_if_never_written(Source source) const {
  if (source.access == Access::ReadOnly) return source;
  std::string format = source.format.value_or("");
  if (!source.format) {
    TRY(format, probe(*source.file));
  }
  if (is_written_in_place(format)) return source;
  TRY(source.file, request_.open_named(source.path, Access::ReadOnly));
  source.access = Access::ReadOnly;
  return source;
}

Result<Opened> Opener::open() {
  TRY(Source top, open_top());
  TRY(Image* const image, open_source(std::move(top)));
  std::reverse(opened_.chain.begin(), opened_.chain.end());  // built from the bottom
  opened_.format = image->traits().format;
  if (!image->traits().read_only_reason.empty()) {
    if (!request_.read_only_if_need_be) {
      return fail(ErrorKind::Denied, "{}: {}", shown(named_[0].path), image->traits().read_only_reason);
    }
    opened_.notes.push_back(
        fmt::format("{}: opened read-only: {}", shown(named_[0].path), image->traits().read_only_reason));
  }
  return std::move(opened_);
}

Result<Image*> Opener::open_source(Source source) {
  CHECK(rules_.admit(*source.file, source.path));
  source.file = with_sticky_failure(std::move(source.file), source.barriers);
  const bool guessed = !source.format;
  if (guessed) {
    TRY(source.format, probe(*source.file));
  }
  if (rules_.depth() == 0) opened_.format_guessed = guessed;
  if (request_.snapshot && rules_.depth() == 0 && *source.format != "qcow2") {
    return fail(ErrorKind::Unsupported, "{}: {} images have no snapshots", shown(source.path), *source.format);
  }
  if (*source.format == "raw") return open_raw(std::move(source), guessed);
  if (*source.format == "qcow2") return open_qcow2(std::move(source));
  if (*source.format == "qcow") return open_qcow1(std::move(source));
  if (*source.format == "sparse") return open_sparse(std::move(source));
  if (*source.format == "zstd") return open_zstd(std::move(source));
  if (*source.format == "composite") return open_composite(std::move(source));
  CHECK(must_be_a_format(*source.format, source.path));
  return fail(ErrorKind::Unsupported, "{}: the format {} is not supported yet: convert it to qcow2 or raw",
              shown(source.path), *source.format);
}

// --- the formats ----------------------------------------------------------------------------------------------------

Result<Image*> Opener::open_raw(Source source, bool guessed) {
  auto guard = guessed ? guard_for(source.path) : raw::FirstSectorGuard();
  TRY(auto image, raw::RawImage::open(std::move(source.file), std::move(guard)));
  return keep(std::move(image));
}

Result<Image*> Opener::open_sparse(Source source) {
  TRY(auto pieces, open_further_pieces(source.path));
  pieces.insert(pieces.begin(), std::move(source.file));
  TRY(auto image, android_sparse::SparseImage::open(std::move(pieces), reason_not_to_write("Android sparse")));
  return keep(std::move(image));
}

// Nothing is behind it, so it takes what is left of the budget.
Result<Image*> Opener::open_zstd(Source source) {
  const ByteCount share = std::exchange(cache_left_, ByteCount());
  auto frames = seekable_zstd::read_frames(*source.file, seekable_zstd::largest_frame(share));
  if (!frames && frames.error().kind == ErrorKind::Limit) return open_large_zstd(std::move(source), share, frames);
  if (!frames) return Failure(std::move(frames.error()));
  auto image = std::make_unique<seekable_zstd::ZstdImage>(
      std::move(source.file), *std::move(frames), seekable_zstd::OpenOptions{share, reason_not_to_write("zstd")});
  if (image->source() == seekable_zstd::FileFrames::Source::Decoding) {
    opened_.notes.push_back(
        fmt::format("{}: its frames do not say what they hold: all of it was decoded to find out", shown(source.path)));
  }
  return keep(std::move(image));
}

// Its frames are too large to be decoded one by one.
Result<Image*> Opener::open_large_zstd(Source source, ByteCount cache, const Result<seekable_zstd::FileFrames>& why) {
  if (request_.content == OpenRequest::Content::NotNeeded) {
    TRY(auto image, seekable_zstd::image_of_size(*source.file));
    return keep(std::move(image));
  }
  if (!request_.unpacked_files) return Failure(why.error());
  const seekable_zstd::UnpackLimits limits{std::max(cache, kLeastWindow), request_.unpack_size};
  TRY(auto image, seekable_zstd::UnpackedImage::open(std::move(source.file),
                                                     {request_.unpacked_files, limits, reason_not_to_write("zstd")}));
  if (const auto where = image->being_unpacked_to()) {
    opened_.notes.push_back(fmt::format("{}: its frames are too large to be decoded one by one: it is unpacked to {}",
                                        shown(source.path), shown(*where)));
  }
  return keep(std::move(image));
}

// What was split for flashing is one image: the pieces behind its first one, in order.
Result<std::vector<std::unique_ptr<HostFile>>> Opener::open_further_pieces(const std::string& first) {
  std::vector<std::unique_ptr<HostFile>> pieces;
  for (unsigned number = 1;; ++number) {
    const std::optional<std::string> name = piece_name(first, number);
    if (!name) return pieces;
    auto piece = gate_.open({*name, first, "piece", Access::ReadOnly, rules_.files()});
    if (!piece && piece.error().kind == ErrorKind::NotFound) break;
    if (!piece) return Failure(std::move(piece.error()));
    if (number == android_sparse::Layout::kMostPieces) {
      return fail(ErrorKind::Limit, "{}: an image in more than {} pieces", shown(first), number);
    }
    CHECK(lock(*piece->file, Access::ReadOnly));
    pieces.push_back(std::move(piece->file));
  }
  opened_.notes.push_back(
      fmt::format("{}: a split image, read together with its {} other pieces", shown(first), pieces.size()));
  return pieces;
}

// Empty unless somebody wanted to.
std::string Opener::reason_not_to_write(std::string_view format) const {
  if (request_.access == Access::ReadOnly) return {};
  return fmt::format("{} images are never written{}", format,
                     rules_.depth() == 0 ? ": overlay=FILE would take the writes" : "");
}

// Half of what is left for an image with another one behind it, all of it for the last.
ByteCount Opener::take_cache_share(const Recorded& recorded) {
  const bool last = !recorded && named_behind() == nullptr;
  const ByteCount share = last ? cache_left_ : ByteCount(cache_left_.value() / 2);
  cache_left_ -= share;
  return share;
}

Result<Image*> Opener::open_qcow2(Source source) {
  TRY(qcow2::Header header, qcow2::read_header(*source.file));
  const auto recorded = header.backing_name ? Recorded({*header.backing_name, header.backing_format}) : std::nullopt;
  const ByteCount cache_share = take_cache_share(recorded);
  TRY(auto data_file, open_data_file(header, source));
  if (header.raw_data_file() && (recorded || named_behind() != nullptr)) {
    return fail(ErrorKind::InvalidImage, "{}: a raw data file and a backing file exclude each other",
                shown(source.path));
  }
  TRY(Image* const below, open_backing(recorded, source.path));
  qcow2::OpenOptions options;
  options.writable = source.access == Access::ReadWrite;
  if (rules_.depth() == 0) options.snapshot = request_.snapshot;
  options.cache_size = cache_share;
  options.flush_interval = request_.flush_interval;
  options.passphrase = request_.passphrase.get();
  if (request_.content == OpenRequest::Content::NotNeeded) options.content = qcow2::Content::NotNeeded;
  TRY(auto image,
      qcow2::Qcow2Image::open(std::move(source.file), std::move(header), std::move(data_file), below, options));
  return keep(std::move(image));
}

Result<Image*> Opener::open_qcow1(Source source) {
  TRY(qcow1::Header header, qcow1::read_header(*source.file));
  const auto recorded = header.backing_name ? Recorded({*header.backing_name, std::nullopt}) : std::nullopt;
  if (recorded && separate_base()) {
    return fail(ErrorKind::Unsupported,
                "{}: a qcow image does not record the format of its backing file, and nothing is written into a file "
                "whose format is guessed: convert the image to qcow2",
                shown(source.path));
  }
  qcow1::OpenOptions options;
  options.writable = source.access == Access::ReadWrite;
  options.cache_size = take_cache_share(recorded);
  options.flush_interval = request_.flush_interval;
  options.passphrase = request_.passphrase.get();
  if (request_.content == OpenRequest::Content::NotNeeded) options.content = qcow1::Content::NotNeeded;
  TRY(Image* const below, open_backing(recorded, source.path));
  TRY(auto image, qcow1::Qcow1Image::open(std::move(source.file), std::move(header), below, options));
  if (image->will_convert_l1()) {
    opened_.notes.push_back(fmt::format(
        "{}: its L1 table is in the byte order of an early tapdisk: the first write converts it", shown(source.path)));
  }
  return keep(std::move(image));
}

Result<std::unique_ptr<HostFile>> Opener::open_data_file(const qcow2::Header& header, const Source& source) {
  if (!header.has(qcow2::incompatible::kDataFile)) return std::unique_ptr<HostFile>();
  if (!header.data_file_name) {
    return fail(ErrorKind::InvalidImage, "{}: the image does not name its external data file", source.path);
  }
  TRY(auto data, gate_.open({*header.data_file_name, source.path, "data file", source.access, rules_.files()}));
  CHECK(lock(*data.file, source.access));
  return with_sticky_failure(std::move(data.file), source.barriers);
}

// --- parts of an image ----------------------------------------------------------------------------------------------

Result<Source> Opener::find_part(const composite::Part& part, const Source& whole) {
  const Access access = part.writable() ? whole.access : Access::ReadOnly;
  Gate::Request wanted{part.path, whole.path, Gate::kPart, access, rules_.files()};
  auto found = gate_.open(wanted);
  if (!found) {
    wanted.access = Access::ReadOnly;
    const bool may_be_read = found.error().kind == ErrorKind::Denied && gate_.open(wanted).has_value();
    if (may_be_read) unwritable_part_ = found.error().text;
    return Failure(std::move(found.error()));
  }
  CHECK(lock(*found->file, access));
  return Source{std::move(found->file), std::move(found->path), std::nullopt, access, whole.barriers};
}

// The image with everything behind it, as a chain of its own.
Result<composite::OpenPart> Opener::open_part(const composite::Part& part, Source source) {
  const std::string path = source.path;
  const Access access = source.access;
  const ChainRules rules_outside = rules_;
  auto outside = std::exchange(opened_.chain, {});
  TRY(const Image* const image, open_source(std::move(source)));
  rules_ = rules_outside;
  std::reverse(opened_.chain.begin(), opened_.chain.end());
  composite::OpenPart opened{part, path, std::exchange(opened_.chain, std::move(outside))};
  if (access == Access::ReadWrite && !image->traits().writable) {
    unwritable_part_ = fmt::format("{}: {}", shown(path), image->traits().read_only_reason);
    return fail(ErrorKind::Denied, "{}", *unwritable_part_);
  }
  if (!opened.missing().is_zero() && access == Access::ReadOnly) {
    opened_.notes.push_back(fmt::format("{}: ends {} bytes before its place on the disk does: zeroes are shown there",
                                        shown(path), opened.missing().value()));
  }
  return opened;
}

// All files are there and locked before the first of them is read.
Result<Image*> Opener::open_composite(Source source) {
  TRY(const composite::Header header, composite::read_header(*source.file));
  std::vector<Source> sources;
  for (const composite::Part& part : header.parts) {
    TRY(Source found, find_part(part, source));
    sources.push_back(std::move(found));
  }
  const ByteCount cache_share(cache_left_.value() / sources.size());
  std::vector<composite::OpenPart> parts;
  for (std::size_t nth = 0; nth < sources.size(); ++nth) {
    cache_left_ = cache_share;
    TRY(composite::OpenPart part, open_part(header.parts[nth], std::move(sources[nth])));
    parts.push_back(std::move(part));
  }
  TRY(auto image, composite::CompositeImage::open(std::move(source.file), header.length, std::move(parts)));
  return keep(std::move(image));
}

// --- what is behind an image ----------------------------------------------------------------------------------------

const Named* Opener::named_behind() const {
  const std::size_t next = rules_.depth() + 1;
  return next < named_.size() ? &named_[next] : nullptr;
}

Result<Image*> Opener::open_backing(const Recorded& recorded, const std::string& asking_path) {
  const Named* const named = named_behind();
  if (!recorded && named == nullptr) return nullptr;
  TRY(Source backing, named != nullptr ? open_named_backing(*named, recorded, asking_path)
                                       : open_recorded_backing(*recorded, asking_path));
  CHECK(lock(*backing.file, backing.access));
  if (!separate_base()) return open_source(std::move(backing));
  CHECK(open_base(std::move(backing)));
  return nullptr;
}

// The disk that an overlay is to be written into; its format must be certain (promise S4).
Result<void> Opener::open_base(Source base) {
  const std::string path = base.path;
  if (!base.format) {
    return fail(ErrorKind::Denied,
                "{}: the format of its backing file is not recorded: record it with flatimg rebase -u",
                shown(named_[0].path));
  }
  TRY(const Image* const image, open_source(std::move(base)));
  if (!image->traits().writable) {
    return fail(ErrorKind::Denied, "{}: cannot be written: {}", shown(path), image->traits().read_only_reason);
  }
  opened_.base = std::exchange(opened_.chain, {});
  std::reverse(opened_.base.begin(), opened_.base.end());
  return {};
}

// Asked while the top is being opened.
bool Opener::separate_base() const { return request_.behind == Behind::Separately && rules_.depth() == 0; }

Result<Source> Opener::open_named_backing(const Named& named, const Recorded& recorded,
                                          const std::string& asking_path) {
  Source backing;
  backing.path = named.path;
  backing.format = named.format || !recorded ? named.format : recorded->format;
  TRY(backing.file, request_.open_named(backing.path, Access::ReadOnly));
  if (request_.overlay && rules_.depth() == 0) CHECK(must_be_overlay_of(*backing.file, recorded, asking_path));
  return backing;
}

Result<Source> Opener::open_recorded_backing(const Backing& recorded, const std::string& asking_path) {
  const Access access = separate_base() ? Access::ReadWrite : Access::ReadOnly;
  TRY(auto opened, gate_.open({recorded.name, asking_path, "backing file", access}));
  if (!recorded.format) {
    opened_.notes.push_back(fmt::format("{}: the format of its backing file {} is not recorded; it was guessed",
                                        shown(asking_path), shown(opened.path)));
  }
  return Source{std::move(opened.file), std::move(opened.path), recorded.format, access};
}

// What was written over one image makes no sense over another, nor over the same one read in another way.
Result<void> Opener::must_be_overlay_of(const HostFile& image, const Recorded& recorded, const std::string& overlay) {
  const auto refused = [&](std::string_view why) {
    return fail(ErrorKind::BadUsage, "{}: is no overlay of {}: {}", shown(overlay), shown(request_.path), why);
  };
  if (!recorded) return refused("it has no backing file");
  const auto found = gate_.open({recorded->name, overlay, "backing file", Access::ReadOnly});
  if (!found) return refused(found.error().text);
  if (found->file->identity() != image.identity()) {
    return refused(fmt::format("its backing file is {}", shown(found->path)));
  }
  if (request_.format && recorded->format && *request_.format != *recorded->format) {
    return refused(fmt::format("it was made over the format {}", shown(*recorded->format)));
  }
  return {};
}

Result<Gate> gate_for(const OpenRequest& request) {
  if (request.gate != nullptr) return request.gate->for_another_image();
  return Gate::around(request.path, request.allowed_directories);
}

}  // namespace

Result<Opened> open_image(const OpenRequest& request) {
  if (request.snapshot && request.overlay) {
    return fail(ErrorKind::BadUsage, "snapshot and overlay exclude each other: a snapshot is shown for reading only");
  }
  if (request.snapshot && request.access == Access::ReadWrite) {
    OpenRequest reading = request;
    reading.access = Access::ReadOnly;
    return open_image(reading);
  }
  if (request.overlay) {
    TRY(const bool there, overlay_exists(*request.overlay));
    if (!there && request.access == Access::ReadWrite) CHECK(make_overlay(request));
    if (!there && request.access == Access::ReadOnly) {  // nothing was ever written
      OpenRequest without = request;
      without.overlay.reset();
      return open_image(without);
    }
  }
  TRY(Gate gate, gate_for(request));
  std::optional<std::string> reason;
  {
    Opener opener(request, std::move(gate));
    auto opened = opener.open();
    reason = opener.unwritable_part();
    const bool reading_helps = reason && request.read_only_if_need_be && request.behind == Behind::Below;
    if (opened || !reading_helps) return opened;
  }
  OpenRequest reading = request;
  reading.access = Access::ReadOnly;
  TRY(Opened opened, open_image(reading));
  opened.notes.push_back(fmt::format("{}; opened read-only", *reason));
  return opened;
}

}  // namespace flatimg::catalog
