// FUSE INIT: which of the kernel's features are used, each for a measured reason or for correctness.
#include "fuse/negotiation.h"

#include "fuse/exported.h"
#include "fuse/libfuse.h"

namespace flatimg::flat {

namespace {

constexpr unsigned kMostBackground = 64;  // asynchronous requests that the kernel keeps in flight

// Without the two asynchronous ones a loop device or a virtual machine has one request in flight.
constexpr unsigned kWanted = FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                             FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO;

// Splicing costs 3 to 4 times what copying does. Nobody else changes the disk, so the cache needs no looking after.
// ATOMIC_O_TRUNC would make the kernel drop cached pages and take the size for 0, whatever we answer; without it
// O_TRUNC arrives as a setattr, and the kernel believes its answer (handlers_attributes.cpp).
constexpr unsigned kUnwanted = FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                               FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ATOMIC_O_TRUNC;

/// Random writers gain a factor of four. Not when the flat file is the mountpoint: the kernel makes that inode before
/// it has asked for a size, and with this cache it would never take one later.
bool may_write_back(const Exported& exported) {
  return exported.disk.writable() && exported.names.shape() == Shape::Directory;
}

void ask_for(unsigned wanted, unsigned unwanted, fuse_conn_info* connection) {
  connection->want = (connection->want | (wanted & connection->capable)) & ~unwanted;
  connection->max_write = kLargestRequest;
  connection->time_gran = 1;
  connection->max_background = kMostBackground;
  connection->congestion_threshold = kMostBackground * 3 / 4;
}

}  // namespace

void negotiate(void* mounted, fuse_conn_info* connection) {
  auto& shown = static_cast<Exported&>(*static_cast<Mounted*>(mounted));
  ask_for(kWanted, kUnwanted, connection);
  if (may_write_back(shown) && (connection->capable & FUSE_CAP_WRITEBACK_CACHE) != 0) {
    connection->want |= FUSE_CAP_WRITEBACK_CACHE;
    shown.kernel_cache = KernelCache::WriteBack;
  }
}

// Other files may change underneath: the kernel looks at size and time and drops pages that are old, and it writes
// through, because a kernel that writes back late believes nobody else about sizes (README.md).
void negotiate_tree(void* /*mounted*/, fuse_conn_info* connection) {
  ask_for(kWanted | FUSE_CAP_AUTO_INVAL_DATA, kUnwanted & ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA), connection);
}

}  // namespace flatimg::flat
