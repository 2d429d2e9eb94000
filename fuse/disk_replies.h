// Answers of requests that read, whichever mount shows what is read. Each answers exactly once.
#pragma once

#include <string>

#include "fuse/libfuse.h"
#include "view/disk.h"

namespace flatimg::flat {

/// What the disk holds there; less at its end.
void reply_read(fuse_req_t request, Disk& disk, std::size_t size, off_t from);

/// Whether a search for data or a hole can begin there.
[[nodiscard]] bool is_on_disk(const Disk& disk, off_t from);
/// Where SEEK_DATA or SEEK_HOLE leads from there.
void reply_seek(fuse_req_t request, Disk& disk, off_t from, int whence);

/// A part of a text; less at its end.
void reply_text(fuse_req_t request, const std::string& text, std::size_t size, off_t from);

}  // namespace flatimg::flat
