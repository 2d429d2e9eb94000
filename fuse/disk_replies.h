// Answers of requests that read, whichever mount shows what is read. Each answers exactly once.
#pragma once

#include <string>

#include "fuse/flat_file.h"
#include "fuse/libfuse.h"
#include "view/disk.h"

namespace flatimg::flat {

/// A part of a disk that is shown as a file of its own, up to the whole disk. Positions in it count from its begin.
struct DiskPart {
  Disk& disk;
  GuestRange where;  // may reach beyond the end of a disk that has shrunk since
};

/// What it holds there; less at its end.
void reply_read(fuse_req_t request, const DiskPart& part, std::size_t size, off_t from);
void reply_read(fuse_req_t request, Disk& disk, std::size_t size, off_t from);

/// Whether a search for data or a hole can begin there.
[[nodiscard]] bool is_on_disk(const Disk& disk, off_t from);
/// Where SEEK_DATA or SEEK_HOLE leads from there.
void reply_seek(fuse_req_t request, Disk& disk, off_t from, int whence);
void reply_seek(fuse_req_t request, const DiskPart& part, off_t from, int whence);

/// Writes what fits; how much that was. NoSpace behind the end, as on a block device.
Result<std::size_t> write_to(const DiskPart& part, std::span<const std::byte> bytes, off_t to);

/// fallocate in a part, which never grows.
Result<void> allocate_or_free(const DiskPart& part, int mode, off_t from, off_t size);

/// A part of a text; less at its end.
void reply_text(fuse_req_t request, const std::string& text, std::size_t size, off_t from);

}  // namespace flatimg::flat
