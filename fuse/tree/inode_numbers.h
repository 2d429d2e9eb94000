// The inode numbers that stat() and readdir() show: those of the files underneath, so that they stay the same as long
// as the files do.
//
// The whole tree is one device to its users. Files of other file systems that are mounted beneath SOURCE get the number
// of their device, in the order in which the devices were met, in the upper 16 bits: programs that look for hard links
// by number must not take two files for one.
#pragma once

#include <unordered_map>

#include "base/ranked_mutex.h"
#include "fuse/tree/beneath.h"

namespace flatimg::flat::tree {

class InodeNumbers {
 public:
  explicit InodeNumbers(std::uint64_t main_device) : main_device_(main_device) {}

  [[nodiscard]] std::uint64_t shown(std::uint64_t device, std::uint64_t inode) EXCLUDES(mutex_) {
    if (device == main_device_) return inode;
    constexpr unsigned kInodeBits = 48;
    const MutexLock lock(mutex_);
    const std::uint64_t number = others_.try_emplace(device, others_.size() + 1).first->second;
    return number << kInodeBits ^ inode;
  }

 private:
  const std::uint64_t main_device_;
  Mutex mutex_{Rank::Queue};
  std::unordered_map<std::uint64_t, std::uint64_t> others_ GUARDED_BY(mutex_);
};

}  // namespace flatimg::flat::tree
