// What -o says about a mount. Pure: no file is touched here.
//
// Three kinds of words: ours (contract: format=, cache-size= ...), those of every FUSE mount (allow_other, uid=,
// noatime
// ...), and those that mount(8) leaves in for itself or for systemd (nofail, _netdev, x-...), which are swallowed.
// A later word wins over an earlier one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "view/disk.h"

namespace flatimg::flat {

/// How requests come from the kernel.
enum class Transport { Auto, Thread, Uring };

struct MountOptions {
  // the image
  std::optional<std::string> format;
  std::vector<std::string> allowed_directories;
  std::optional<std::string> backing;
  std::vector<std::string> pieces;      // behind the first, of a split sparse image
  std::optional<std::string> snapshot;  // and then the mount is read-only
  std::optional<std::string> overlay;
  std::string key_file;  // read by whoever parsed the options, before the fork; empty: none
  ByteCount cache_size{64u << 20};
  std::chrono::milliseconds flush_interval{5000};
  bool unpack = true;                              // zstd files that can only be decoded as a whole
  std::string unpack_directory;                    // absolute; empty: the usual one
  ByteCount unpack_size{std::uint64_t{64} << 30};  // that one may hold, and that all kept ones take
  DiskOptions disk;
  bool locks = true;
  bool audit = true;  // look for contradictions while nobody asks for anything
  bool read_only = false;

  // the flat file
  std::string suffix;
  bool growable = false;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<mode_t> umask;

  // the connection
  Transport transport = Transport::Auto;
  std::optional<unsigned> threads;
  bool sandbox = true;
  bool allow_other = false;
  std::optional<std::string> fsname;
  std::optional<std::string> subtype;
  std::optional<unsigned> max_read;
  std::vector<std::string> kernel_words;  // passed on as they are: noatime, sync ...
};

/// What happens to a word that nobody knows. Ignore is mount(8)'s -s.
enum class UnknownOption { Refuse, Ignore };

/// The words of several -o lists, one after the other. BadUsage names the word that is wrong, Unsupported the one that
/// this version cannot do.
Result<MountOptions> parse_options(const std::vector<std::string>& lists, UnknownOption unknown);

/// "a,b\,c" as "a" and "b,c"; empty words are left out.
[[nodiscard]] std::vector<std::string> split_list(std::string_view list);

/// The reverse for one value: commas and backslashes get a backslash in front.
[[nodiscard]] std::string escaped_for_list(std::string_view value);

/// A number of bytes with an optional suffix K M G T P (powers of 1024).
Result<ByteCount> parse_size(std::string_view text);

}  // namespace flatimg::flat
