#include "seekable_zstd/describe.h"

#include "seekable_zstd/file_frames.h"

namespace flatimg::seekable_zstd {

Result<ImageInfo> describe(HostFile& file, ByteCount most) {
  TRY(const FileFrames frames, read_frames(file, most));
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
