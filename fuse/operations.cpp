// The table of handlers of a mount that shows one disk.
//
// What is missing in the table answers ENOSYS, and the kernel does not ask again: extended attributes, ioctl, access
// (default_permissions checks instead), locks (the kernel keeps them itself).
#include "fuse/operations.h"

#include "fuse/handlers.h"
#include "fuse/negotiation.h"
#include "fuse/wrapped.h"

namespace flatimg::flat {

namespace {

fuse_lowlevel_ops table() {
  fuse_lowlevel_ops ops{};
  ops.init = negotiate;
  ops.lookup = counted<handlers::lookup, Request::Lookup>;
  ops.forget = plain<handlers::forget>;
  ops.forget_multi = plain<handlers::forget_multi>;
  ops.getattr = counted<handlers::getattr, Request::Getattr>;
  ops.setattr = counted<handlers::setattr, Request::Setattr>;
  ops.open = counted<handlers::open, Request::Open>;
  ops.read = counted<handlers::read, Request::Read>;
  ops.write = counted<handlers::write, Request::Write>;
  ops.flush = counted<handlers::flush, Request::Flush>;
  ops.release = counted<handlers::release, Request::Release>;
  ops.fsync = counted<handlers::fsync, Request::Fsync>;
  ops.opendir = counted<handlers::opendir, Request::Opendir>;
  ops.readdir = counted<handlers::readdir, Request::Readdir>;
  ops.readdirplus = counted<handlers::readdirplus, Request::Readdir>;
  ops.releasedir = plain<handlers::releasedir>;
  ops.fsyncdir = plain<handlers::fsyncdir>;
  ops.statfs = counted<handlers::statfs, Request::Statfs>;
  ops.fallocate = counted<handlers::fallocate, Request::Fallocate>;
  ops.lseek = counted<handlers::lseek, Request::Lseek>;
  ops.mknod = plain<handlers::mknod>;
  ops.mkdir = plain<handlers::mkdir>;
  ops.unlink = plain<handlers::unlink>;
  ops.rmdir = plain<handlers::rmdir>;
  ops.symlink = plain<handlers::symlink>;
  ops.rename = plain<handlers::rename>;
  ops.link = plain<handlers::link>;
  ops.create = plain<handlers::create>;
  return ops;
}

}  // namespace

const fuse_lowlevel_ops& operations() {
  static const fuse_lowlevel_ops ops = table();
  return ops;
}

}  // namespace flatimg::flat
