// Opening a file whose format is known.
#include <algorithm>

#include "android_sparse/sparse_image.h"
#include "base/text.h"
#include "catalog/opener.h"
#include "catalog/replaced_base.h"
#include "catalog/split_pieces.h"
#include "qcow1/qcow1_image.h"
#include "qcow2/qcow2_image.h"
#include "raw/raw_image.h"
#include "seekable_zstd/unpacked_image.h"
#include "seekable_zstd/zstd_image.h"

namespace flatimg::catalog {

namespace {

constexpr ByteCount kLeastWindow = 8_MiB;  // of a zstd frame: what every decoder should take

raw::FirstSectorGuard guard_for(const std::string& path) {
  return [path](std::span<const std::byte> sector) -> Result<void> {
    const auto foreign = foreign_format_of(sector);
    const std::string format = foreign ? std::string(*foreign) : format_of(sector);
    if (format == "raw") return {};
    return fail(ErrorKind::Denied,
                "{}: this write would turn a disk that was taken for raw into {}: name its format with format=raw",
                path, format);
  };
}

}  // namespace

Result<Image*> Opener::open_raw(Source source, bool guessed) {
  if (!guessed) {
    TRY(auto image, raw::RawImage::open(std::move(source.file), {}));
    return keep(std::move(image));
  }
  TRY(const auto foreign, probe_foreign(*source.file));
  std::string reason = foreign ? note_foreign(source.path, *foreign) : "";
  TRY(auto image, raw::RawImage::open(std::move(source.file), guard_for(source.path), std::move(reason)));
  return keep(std::move(image));
}

// The disk in it cannot be shown. Its bytes can, and are safe as long as nobody writes them. Returns why.
std::string Opener::note_foreign(const std::string& path, std::string_view format) {
  opened_.notes.push_back(fmt::format(
      "{}: is a {} image, which flatimg does not read, and is shown as the file that it is: qemu-img convert "
      "-O qcow2 makes an image with the disk in it",
      shown(path), format));
  return request_.access == Access::ReadOnly ? "" : fmt::format("format=raw would write into the {} image", format);
}

Result<Image*> Opener::open_sparse(Source source) {
  const bool listed = !request_.pieces.empty() && source.path == request_.path;
  TRY(Files pieces, listed ? open_named_pieces() : open_numbered_pieces(source.path));
  if (!pieces.empty()) {
    opened_.notes.push_back(
        fmt::format("{}: a split image, read together with its {} other pieces", shown(source.path), pieces.size()));
  }
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

// What was split for flashing is one image: the pieces that the request lists behind the first one.
Result<Opener::Files> Opener::open_named_pieces() {
  Files pieces;
  for (const std::string& path : request_.pieces) {
    TRY(auto piece, request_.open_named(path, Access::ReadOnly));
    CHECK(lock(*piece, Access::ReadOnly));
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

// The same, where the names of the pieces are numbered.
Result<Opener::Files> Opener::open_numbered_pieces(const std::string& first) {
  Files pieces;
  for (unsigned number = 1;; ++number) {
    const std::optional<std::string> name = piece_name(first, number);
    if (!name) return pieces;
    auto piece = gate_.open({*name, first, "piece", Access::ReadOnly, rules_.files()});
    if (!piece && piece.error().kind == ErrorKind::NotFound) return pieces;
    if (!piece) return Failure(std::move(piece.error()));
    if (number == android_sparse::Layout::kMostPieces) {
      return fail(ErrorKind::Limit, "{}: an image in more than {} pieces", shown(first), number);
    }
    CHECK(lock(*piece->file, Access::ReadOnly));
    pieces.push_back(std::move(piece->file));
  }
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
  if (!request_.backing) note_base(note_on_replaced_base(gate_, source.path, header));
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
  if (recorded && !request_.backing) note_base(note_on_later_base(gate_, source.path, recorded->name));
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

}  // namespace flatimg::catalog
