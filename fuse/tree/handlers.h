// One function for each request of the kernel on a directory of images. Each answers exactly once, as the last thing it
// does. They run on the thread that took the request, several at a time.
#pragma once

#include "fuse/folder_replies.h"
#include "fuse/reply.h"
#include "fuse/tree/attributes.h"
#include "fuse/tree/handles.h"

namespace flatimg::flat::tree::handlers {

// names: handlers_names.cpp
void lookup(fuse_req_t request, fuse_ino_t parent, const char* name);
void forget(fuse_req_t request, fuse_ino_t number, std::uint64_t lookups);
void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgotten);
void readlink(fuse_req_t request, fuse_ino_t number);

// directories: handlers_listing.cpp
void opendir(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void readdir(fuse_req_t request, fuse_ino_t number, std::size_t room, off_t from, fuse_file_info* info);
void readdirplus(fuse_req_t request, fuse_ino_t number, std::size_t room, off_t from, fuse_file_info* info);
void releasedir(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void fsyncdir(fuse_req_t request, fuse_ino_t number, int data_only, fuse_file_info* info);

// attributes: handlers_attributes.cpp
void getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void setattr(fuse_req_t request, fuse_ino_t number, struct stat* wanted, int which, fuse_file_info* info);
void statfs(fuse_req_t request, fuse_ino_t number);

// handles: handlers_files.cpp
void open(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info);
void release(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void flush(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void fsync(fuse_req_t request, fuse_ino_t number, int data_only, fuse_file_info* info);

// bytes: handlers_data.cpp
void read(fuse_req_t request, fuse_ino_t number, std::size_t size, off_t from, fuse_file_info* info);
void write(fuse_req_t request, fuse_ino_t number, const char* bytes, std::size_t size, off_t to, fuse_file_info* info);
void lseek(fuse_req_t request, fuse_ino_t number, off_t from, int whence, fuse_file_info* info);
void fallocate(fuse_req_t request, fuse_ino_t number, int mode, off_t from, off_t size, fuse_file_info* info);

// changes of names: handlers_changes.cpp
void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device);
void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode);
void unlink(fuse_req_t request, fuse_ino_t parent, const char* name);
void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name);
void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name);
void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t to_parent, const char* to_name,
            unsigned flags);
void link(fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char* name);

// the same for what is beneath .flatimg/: handlers_facts.cpp
void lookup_fact(fuse_req_t request, fuse_ino_t parent, const char* name);
void getattr_fact(fuse_req_t request, fuse_ino_t number);
void setattr_fact(fuse_req_t request, fuse_ino_t number, const struct stat& wanted, int which);
void open_fact(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void open_fact_folder(fuse_req_t request, fuse_ino_t number, fuse_file_info* info);
void list_facts(fuse_req_t request, std::size_t room, off_t from, const fuse_file_info& info, Listing form);

/// What the operation works on.
[[nodiscard]] inline Tree& tree_of(fuse_req_t request) { return static_cast<Tree&>(mount_of(request)); }

/// The directory, or the file, with that number: ESTALE when there is none.
[[nodiscard]] Passed<NodePtr> node_at(fuse_req_t request, fuse_ino_t number);

/// Enters what was located and answers with it.
void reply_entry(fuse_req_t request, const NodePtr& directory, const Passed<Located>& located);
/// What lookup() and its like answer; the node has been entered.
[[nodiscard]] fuse_entry_param entry_of(Tree& tree, const Node& node, const Located& located);

/// Answers with an errno of the host, and counts it; 0 is success.
void reply_errno(fuse_req_t request, int os_error);

}  // namespace flatimg::flat::tree::handlers
