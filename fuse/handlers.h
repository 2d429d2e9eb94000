// One function for each request of the kernel. Each answers exactly once, as the last thing it does.
//
// They run on the thread that took the request, several at a time. Inode numbers are looked up first: a number that is
// no node gets ESTALE.
#pragma once

#include <sys/stat.h>

#include "fuse/exported.h"
#include "fuse/fact_handle.h"
#include "fuse/flat_file.h"
#include "fuse/folder_replies.h"
#include "fuse/libfuse.h"
#include "fuse/reply.h"

namespace flatimg::flat::handlers {

// names: handlers_names.cpp
void lookup(fuse_req_t request, fuse_ino_t parent, const char* name);
void forget(fuse_req_t request, fuse_ino_t number, std::uint64_t lookups);
void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgotten);
void opendir(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle);
void readdir(fuse_req_t request, fuse_ino_t number, std::size_t room, off_t from, fuse_file_info* handle);
void readdirplus(fuse_req_t request, fuse_ino_t number, std::size_t room, off_t from, fuse_file_info* handle);
void releasedir(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle);
void fsyncdir(fuse_req_t request, fuse_ino_t number, int data_only, fuse_file_info* handle);

// What would change the names is refused: they are those of the image.
void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device);
void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode);
void unlink(fuse_req_t request, fuse_ino_t parent, const char* name);
void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name);
void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name);
void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t to_parent, const char* to_name,
            unsigned flags);
void link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char* name);
void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* handle);

// attributes: handlers_attributes.cpp
void getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle);
void setattr(fuse_req_t request, fuse_ino_t number, struct stat* wanted, int which, fuse_file_info* handle);
void statfs(fuse_req_t request, fuse_ino_t number);

// handles: handlers_files.cpp
void open(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle);
void release(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle);
void flush(fuse_req_t request, fuse_ino_t number, fuse_file_info* handle);
void fsync(fuse_req_t request, fuse_ino_t number, int data_only, fuse_file_info* handle);

// bytes: handlers_data.cpp
void read(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t from, fuse_file_info* handle);
void write(fuse_req_t request, fuse_ino_t number, const char* bytes, std::size_t size, off_t to,
           fuse_file_info* handle);
void lseek(fuse_req_t request, fuse_ino_t number, off_t from, int whence, fuse_file_info* handle);
void fallocate(fuse_req_t request, fuse_ino_t number, int mode, off_t from, off_t size, fuse_file_info* handle);

// the same for what .flatimg/NAME/ tells of the disk, besides its fixed texts: handlers_facts.cpp
[[nodiscard]] bool is_fact(const Exported& exported, fuse_ino_t number);
void lookup_fact(fuse_req_t request, fuse_ino_t parent, const char* name);
void getattr_fact(fuse_req_t request, fuse_ino_t number);
void setattr_fact(fuse_req_t request, fuse_ino_t number, const struct stat& wanted, int which);
void open_fact(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void open_fact_folder(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void list_fact_folder(fuse_req_t request, std::size_t room, off_t from, const fuse_file_info& info, Listing form);
void release_fact(fuse_req_t request, fuse_file_info* info);
void read_fact(fuse_req_t request, std::size_t size, off_t from, const fuse_file_info& info);
void write_fact(fuse_req_t request, std::span<const std::byte> bytes, off_t to, const fuse_file_info& info);
void lseek_fact(fuse_req_t request, off_t from, int whence, const fuse_file_info& info);
void fallocate_fact(fuse_req_t request, int mode, off_t from, off_t size, const fuse_file_info& info);
void fsync_fact(fuse_req_t request, const fuse_file_info& info);

/// What the operation works on.
[[nodiscard]] inline Exported& exported_by(fuse_req_t request) { return static_cast<Exported&>(mount_of(request)); }

[[nodiscard]] inline Growth growth_of(const Exported& exported) {
  return exported.growable ? Growth::Allowed : Growth::Refused;
}

/// What stat() says about a node.
[[nodiscard]] struct stat stat_of(const Exported& exported, Node node);
/// The same, for an answer that the kernel keeps (it drops what comes with most setattrs).
[[nodiscard]] struct stat stat_to_keep(Exported& exported, Node node);

// How long the kernel may go on without asking. Names never change; blocks do, without the kernel knowing.
inline constexpr double kNamesValid = 24 * 60 * 60;
inline constexpr double kAttributesValid = 1;

}  // namespace flatimg::flat::handlers
