// The frames of a file: from its seek table, or from the frames themselves.
#pragma once

#include "host/host_file.h"
#include "seekable_zstd/frames.h"

namespace flatimg::seekable_zstd {

struct FileFrames {
  enum class Source {
    SeekTable,
    Scan,      // of frames that state what they hold
    Decoding,  // of some that do not
  };
  Frames frames;
  Source source = Source::Scan;
};

/// Frames that hold more than `most` are an error (Limit); others as read_seek_table() and FrameScan have them. Takes
/// as long as decoding where only that tells the size, then with all processors.
Result<FileFrames> read_frames(HostFile& file, ByteCount most);

}  // namespace flatimg::seekable_zstd
