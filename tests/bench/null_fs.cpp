// A FUSE file system that does nothing: one raw file, shown as it is. The measure of what the kernel's side costs, and
// so the limit for everything that serves disks through FUSE.
//
//   null_fs FILE DIRECTORY THREADS [writeback]
//
// It serves FILE as DIRECTORY/disk until it is unmounted. Requests are answered in the thread that has read them, by
// one pread or pwrite; what is negotiated with the kernel is what flatimg negotiates.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

namespace {

constexpr fuse_ino_t kDisk = 2;
constexpr double kForEver = 1e6;
constexpr std::size_t kLargestRequest = std::size_t{1} << 20;
constexpr unsigned kMostBackground = 64;

int disk = -1;
bool write_back = false;

struct stat attributes_of(fuse_ino_t node) {
  struct stat found {};
  ::fstat(disk, &found);
  found.st_ino = node;
  found.st_nlink = 1;
  if (node == FUSE_ROOT_ID) found.st_mode = S_IFDIR | 0755;
  return found;
}

void init(void* /*userdata*/, fuse_conn_info* connection) {
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
  connection->want |= connection->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
  if (write_back) connection->want |= connection->capable & FUSE_CAP_WRITEBACK_CACHE;
  connection->max_write = kLargestRequest;
  connection->max_background = kMostBackground;
  connection->congestion_threshold = kMostBackground * 3 / 4;
}

void getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info* /*file*/) {
  const struct stat found = attributes_of(node);
  fuse_reply_attr(request, &found, kForEver);
}

void lookup(fuse_req_t request, fuse_ino_t /*parent*/, const char* name) {
  if (std::string_view(name) != "disk") {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kDisk;
  entry.attr = attributes_of(kDisk);
  entry.attr_timeout = kForEver;
  entry.entry_timeout = kForEver;
  fuse_reply_entry(request, &entry);
}

// Truncation is ignored.
void setattr(fuse_req_t request, fuse_ino_t node, struct stat* /*wanted*/, int /*which*/, fuse_file_info* file) {
  getattr(request, node, file);
}

void open(fuse_req_t request, fuse_ino_t /*node*/, fuse_file_info* file) {
  file->keep_cache = 1;
  fuse_reply_open(request, file);
}

void read(fuse_req_t request, fuse_ino_t /*node*/, std::size_t size, off_t at, fuse_file_info* /*file*/) {
  thread_local std::vector<char> buffer(kLargestRequest);
  const ssize_t got = ::pread(disk, buffer.data(), std::min(size, buffer.size()), at);
  if (got < 0)
    fuse_reply_err(request, errno);
  else
    fuse_reply_buf(request, buffer.data(), static_cast<std::size_t>(got));
}

void write(fuse_req_t request, fuse_ino_t /*node*/, const char* bytes, std::size_t size, off_t at,
           fuse_file_info* /*file*/) {
  const ssize_t put = ::pwrite(disk, bytes, size, at);
  if (put < 0)
    fuse_reply_err(request, errno);
  else
    fuse_reply_write(request, static_cast<std::size_t>(put));
}

void fsync(fuse_req_t request, fuse_ino_t /*node*/, int /*data_only*/, fuse_file_info* /*file*/) {
  fuse_reply_err(request, ::fdatasync(disk) == 0 ? 0 : errno);
}

void lseek(fuse_req_t request, fuse_ino_t /*node*/, off_t at, int whence, fuse_file_info* /*file*/) {
  const off_t found = ::lseek(disk, at, whence);
  if (found < 0)
    fuse_reply_err(request, errno);
  else
    fuse_reply_lseek(request, found);
}

void fallocate(fuse_req_t request, fuse_ino_t /*node*/, int mode, off_t at, off_t size, fuse_file_info* /*file*/) {
  fuse_reply_err(request, ::fallocate(disk, mode, at, size) == 0 ? 0 : errno);
}

fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops all{};
  all.init = init;
  all.lookup = lookup;
  all.getattr = getattr;
  all.setattr = setattr;
  all.open = open;
  all.read = read;
  all.write = write;
  all.fsync = fsync;
  all.lseek = lseek;
  all.fallocate = fallocate;
  return all;
}

int serve(fuse_session* session, unsigned threads) {
  fuse_loop_config* const config = fuse_loop_cfg_create();
  fuse_loop_cfg_set_max_threads(config, threads);
  fuse_loop_cfg_set_idle_threads(config, threads);
  const int ended = fuse_session_loop_mt(session, config);
  fuse_loop_cfg_destroy(config);
  return ended;
}

}  // namespace

int main(int count, char** words) {
  if (count < 4) {
    std::fputs("usage: null_fs FILE DIRECTORY THREADS [writeback]\n", stderr);
    return 2;
  }
  write_back = count > 4 && std::string_view(words[4]) == "writeback";
  disk = ::open(words[1], O_RDWR | O_CLOEXEC);
  if (disk < 0) {
    std::perror(words[1]);
    return 1;
  }
  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&arguments, words[0]);
  fuse_opt_add_arg(&arguments, "-ofsname=null_fs");
  const fuse_lowlevel_ops all = operations();
  fuse_session* const session = fuse_session_new(&arguments, &all, sizeof(all), nullptr);
  if (session == nullptr || fuse_session_mount(session, words[2]) != 0) return 1;
  const int ended = serve(session, static_cast<unsigned>(std::atoi(words[3])));
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  return ended == 0 ? 0 : 1;
}
