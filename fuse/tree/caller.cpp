#include "fuse/tree/caller.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace flatimg::flat::tree {

namespace {

std::vector<gid_t>& own_groups() {
  static std::vector<gid_t> groups;
  return groups;
}

// glibc's setgroups() would change all threads.
void set_groups(const std::vector<gid_t>& groups) { ::syscall(SYS_setgroups, groups.size(), groups.data()); }

/// Where /proc does not tell them there are none: that can refuse too much, never too little.
std::vector<gid_t> groups_of(fuse_req_t request) {
  constexpr std::size_t kUsual = 64;
  std::vector<gid_t> groups(kUsual);
  int count = fuse_req_getgroups(request, static_cast<int>(groups.size()), groups.data());
  if (count > static_cast<int>(groups.size())) {
    groups.resize(static_cast<std::size_t>(count));
    count = std::min(fuse_req_getgroups(request, count, groups.data()), count);
  }
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return groups;
}

}  // namespace

void remember_own_groups() {
  own_groups().resize(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
  const int count = ::getgroups(static_cast<int>(own_groups().size()), own_groups().data());
  own_groups().resize(static_cast<std::size_t>(std::max(count, 0)));
}

ActingAs::ActingAs(fuse_req_t request) {
  const fuse_ctx* const caller = fuse_req_ctx(request);
  if (::geteuid() != 0 || caller->uid == 0) return;
  changed_ = true;
  set_groups(groups_of(request));
  ::setfsgid(caller->gid);
  ::setfsuid(caller->uid);
}

ActingAs::~ActingAs() {
  if (!changed_) return;
  ::setfsuid(::geteuid());
  ::setfsgid(::getegid());
  set_groups(own_groups());
}

}  // namespace flatimg::flat::tree
