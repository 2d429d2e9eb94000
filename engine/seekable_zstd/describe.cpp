#include "seekable_zstd/describe.h"

#include "seekable_zstd/file_frames.h"
#include "seekable_zstd/unpacking.h"

namespace flatimg::seekable_zstd {

namespace {

// Its frames are too large to be decoded one by one. Where they do not say what they hold, all of it is decoded.
Result<ImageInfo> describe_large(HostFile& file) {
  TRY(const Survey known, survey(file));
  ImageInfo info;
  info.format = "zstd";
  if (known.size) {
    info.virtual_size = *known.size;
  } else {
    TRY(info.virtual_size, measure(file, known));
  }
  TRY(info.actual_size, file.allocated());
  info.details.push_back({"frames", InfoValue{known.frames}});
  info.details.push_back({"unpacked-as-a-whole", InfoValue{true}});
  info.details.push_back({"frames-state-their-size", InfoValue{known.size.has_value()}});
  return info;
}

}  // namespace

Result<ImageInfo> describe(HostFile& file, ByteCount most) {
  auto read = read_frames(file, most);
  if (!read && read.error().kind == ErrorKind::Limit) return describe_large(file);
  TRY(const FileFrames frames, std::move(read));
  ImageInfo info;
  info.format = "zstd";
  info.virtual_size = frames.frames.size();
  TRY(info.actual_size, file.allocated());
  const auto add = [&](std::string name, auto value) { info.details.push_back({std::move(name), InfoValue{value}}); };
  add("frames", std::uint64_t{frames.frames.count()});
  add("largest-frame", frames.frames.largest().value());
  add("seek-table", frames.source == FileFrames::Source::SeekTable);
  add("checksums", frames.frames.have_checksums());
  add("frames-state-their-size", frames.source != FileFrames::Source::Decoding);
  return info;
}

}  // namespace flatimg::seekable_zstd
