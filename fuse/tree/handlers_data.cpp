// Requests that move bytes or ask where they are: of the flat disk of an image, or of an ordinary file.
//
// The end of a disk is fixed as far as these are concerned: reads are short there, writes are cut and then ENOSPC, as
// on a block device.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/text.h"
#include "catalog/probe.h"
#include "fuse/disk_replies.h"
#include "fuse/tree/handlers.h"
#include "fuse/tree/opening.h"

namespace flatimg::flat::tree::handlers {

namespace {

constexpr off_t kMagicBytes = 16;  // what decides about the format of a file

void read_disk(fuse_req_t request, const DiskHandle& handle, std::size_t size, off_t from) {
  const OpenImage::Use use(*handle.image);
  if (use.disk() == nullptr) return reply_errno(request, EIO);
  reply_read(request, *use.disk(), size, from);
}

void read_file(fuse_req_t request, const FileHandle& handle, std::size_t size, off_t from) {
  const std::span<std::byte> out = reply_buffer(size);
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got =
        ::pread(handle.file.get(), out.data() + filled, size - filled, from + static_cast<off_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && filled == 0) return reply_errno(request, errno);
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  mount_of(request).counters.add_read(filled);
  fuse_reply_buf(request, reinterpret_cast<const char*>(out.data()), filled);
}

void read_snapshot(fuse_req_t request, OpenSnapshot& snapshot, std::size_t size, off_t from) {
  if (!snapshot.is_protected()) return reply_errno(request, EIO);
  reply_read(request, snapshot.disk(), size, from);
}

/// What the kernel has not written back of the whole disk comes first.
void read_part(fuse_req_t request, const OpenPart& part, std::size_t size, off_t from) {
  const auto answer = [request, &part, size, from] {
    const OpenImage::Use use(part.image());
    if (use.disk() == nullptr) return reply_errno(request, EIO);
    reply_read(request, DiskPart{*use.disk(), part.where()}, size, from);
  };
  if (!part.image().claims().whole_is_written()) return answer();
  tree_of(request).page_dropper.drop(part.pages_of_whole(from, size), answer);
}

void write_part(fuse_req_t request, const OpenPart& part, std::span<const std::byte> bytes, off_t to) {
  if (part.access() == Access::ReadOnly) return reply_errno(request, EBADF);
  const auto written = [&]() -> Result<std::size_t> {
    const OpenImage::Use use(part.image());
    if (use.disk() == nullptr) return fail(ErrorKind::Io, "{}: is not open", shown(part.image().path()));
    return write_to(DiskPart{*use.disk(), part.where()}, bytes, to);
  }();
  if (!written) return reply_error(request, written.error());
  mount_of(request).counters.add_written(*written);
  tree_of(request).page_dropper.drop(part.pages_of_whole(to, *written),
                                     [request, written = *written] { fuse_reply_write(request, written); });
}

void allocate_part(fuse_req_t request, const OpenPart& part, int mode, off_t from, off_t size) {
  if (part.access() == Access::ReadOnly) return reply_errno(request, EBADF);
  const auto done = [&]() -> Result<void> {
    const OpenImage::Use use(part.image());
    if (use.disk() == nullptr) return fail(ErrorKind::Io, "{}: is not open", shown(part.image().path()));
    return allocate_or_free(DiskPart{*use.disk(), part.where()}, mode, from, size);
  }();
  if (!done) return reply_error(request, done.error());
  tree_of(request).page_dropper.drop(part.pages_of_whole(from, static_cast<std::size_t>(size)),
                                     [request] { fuse_reply_err(request, 0); });
}

void write_disk(fuse_req_t request, const DiskHandle& handle, std::span<const std::byte> bytes, off_t to) {
  const OpenImage::Use use(*handle.image);
  if (use.disk() == nullptr) return reply_errno(request, EIO);
  const GuestRange inside = intersection(range_at(to, bytes.size()), whole(*use.disk()));
  if (inside.empty() && !bytes.empty()) return reply_errno(request, ENOSPC);
  const auto data = bytes.first(inside.length.value());
  if (const auto done = use.disk()->write(inside.begin, data); !done) return reply_error(request, done.error());
  mount_of(request).counters.add_written(data.size());
  fuse_reply_write(request, data.size());
}

/// One first sector at a time, of whichever file: two halves of a header must not pass each other.
Mutex& first_sector_mutex() {
  static Mutex mutex{Rank::Session};
  return mutex;
}

/// The first bytes of the file as it is, and as it would be.
bool would_become_image(const FileHandle& handle, std::span<const std::byte> bytes, off_t to) {
  std::array<std::byte, kMagicBytes> before{};
  const ssize_t got = ::pread(handle.file.get(), before.data(), before.size(), 0);
  const auto there = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  if (catalog::format_of(std::span(before).first(there)) != "raw") return false;
  auto after = before;
  const auto at = static_cast<std::size_t>(to);
  const std::size_t changed = std::min(bytes.size(), after.size() - at);
  std::memcpy(after.data() + at, bytes.data(), changed);
  return catalog::format_of(std::span(after).first(std::max(there, at + changed))) != "raw";
}

/// A file that is empty is being made, by cp for instance.
bool is_being_made(FileHandle& handle) {
  struct stat now {};
  if (::fstat(handle.file.get(), &now) == 0 && now.st_size == 0) handle.fresh = true;
  return handle.fresh;
}

Passed<std::size_t> write_bytes(const FileHandle& handle, std::span<const std::byte> bytes, off_t to) {
  for (;;) {
    const ssize_t written = ::pwrite(handle.file.get(), bytes.data(), bytes.size(), to);
    if (written >= 0) return static_cast<std::size_t>(written);
    if (errno != EINTR) return refused(errno);
  }
}

Passed<std::size_t> write_first_bytes(Tree& tree, FileHandle& handle, std::span<const std::byte> bytes, off_t to) {
  {
    const MutexLock lock(first_sector_mutex());
    if (is_being_made(handle) || !would_become_image(handle, bytes, to)) return write_bytes(handle, bytes, to);
  }
  log(LogLevel::Warning,
      "{}: refused a write that would turn a file that was taken for a raw disk into an image of another format",
      shown(tree.nodes.path_of(*handle.node)));
  return refused(EPERM);
}

void write_file(fuse_req_t request, FileHandle& handle, std::span<const std::byte> bytes, off_t to) {
  if (handle.access == Access::ReadOnly) return reply_errno(request, EBADF);
  const auto written =
      to < kMagicBytes ? write_first_bytes(tree_of(request), handle, bytes, to) : write_bytes(handle, bytes, to);
  if (!written) return reply_errno(request, written.error());
  mount_of(request).counters.add_written(*written);
  fuse_reply_write(request, *written);
}

}  // namespace

void read(fuse_req_t request, fuse_ino_t /*number*/, std::size_t size, off_t from, fuse_file_info* info) {
  Handle& handle = handle_of(*info);
  if (const auto* const disk = std::get_if<DiskHandle>(&handle)) return read_disk(request, *disk, size, from);
  if (const auto* const file = std::get_if<FileHandle>(&handle)) return read_file(request, *file, size, from);
  if (const auto* const text = std::get_if<TextHandle>(&handle)) return reply_text(request, text->text, size, from);
  if (const auto* const of = std::get_if<SnapshotHandle>(&handle)) {
    return read_snapshot(request, *of->snapshot, size, from);
  }
  if (const auto* const of = std::get_if<PartHandle>(&handle)) return read_part(request, *of->part, size, from);
  reply_errno(request, EISDIR);
}

void write(fuse_req_t request, fuse_ino_t /*number*/, const char* bytes, std::size_t size, off_t to,
           fuse_file_info* info) {
  Handle& handle = handle_of(*info);
  const auto data = std::as_bytes(std::span(bytes, size));
  if (const auto* const disk = std::get_if<DiskHandle>(&handle)) return write_disk(request, *disk, data, to);
  if (auto* const file = std::get_if<FileHandle>(&handle)) return write_file(request, *file, data, to);
  if (const auto* const of = std::get_if<PartHandle>(&handle)) return write_part(request, *of->part, data, to);
  reply_errno(request, EBADF);
}

void lseek(fuse_req_t request, fuse_ino_t /*number*/, off_t from, int whence, fuse_file_info* info) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return void(fuse_reply_err(request, EINVAL));
  Handle& handle = handle_of(*info);
  if (const auto* const disk = std::get_if<DiskHandle>(&handle)) {
    const OpenImage::Use use(*disk->image);
    if (use.disk() == nullptr) return reply_errno(request, EIO);
    return reply_seek(request, *use.disk(), from, whence);
  }
  if (const auto* const of = std::get_if<SnapshotHandle>(&handle)) {
    return reply_seek(request, of->snapshot->disk(), from, whence);
  }
  if (const auto* const of = std::get_if<PartHandle>(&handle)) {
    const OpenImage::Use use(of->part->image());
    if (use.disk() == nullptr) return reply_errno(request, EIO);
    return reply_seek(request, DiskPart{*use.disk(), of->part->where()}, from, whence);
  }
  const auto* const file = std::get_if<FileHandle>(&handle);
  if (file == nullptr) return reply_errno(request, EINVAL);
  const off_t found = ::lseek(file->file.get(), from, whence);
  if (found < 0) return void(fuse_reply_err(request, errno));
  fuse_reply_lseek(request, found);
}

void fallocate(fuse_req_t request, fuse_ino_t /*number*/, int mode, off_t from, off_t size, fuse_file_info* info) {
  Handle& handle = handle_of(*info);
  if (const auto* const disk = std::get_if<DiskHandle>(&handle)) {
    const OpenImage::Use use(*disk->image);
    if (use.disk() == nullptr) return reply_errno(request, EIO);
    return reply_done(request, allocate_or_free(*use.disk(), growth_of(tree_of(request)), mode,
                                                range_at(from, static_cast<std::uint64_t>(size))));
  }
  if (const auto* const of = std::get_if<PartHandle>(&handle))
    return allocate_part(request, *of->part, mode, from, size);
  const auto* const file = std::get_if<FileHandle>(&handle);
  if (file == nullptr) return reply_errno(request, EBADF);
  reply_errno(request, ::fallocate(file->file.get(), mode, from, size) == 0 ? 0 : errno);
}

}  // namespace flatimg::flat::tree::handlers
