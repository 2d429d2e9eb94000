// The three system calls of Landlock, with the constants of kernels that are newer than the headers of the machine on
// which this is compiled (linux/landlock.h).
#include "fuse/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "base/text.h"
#include "host/posix_file.h"

namespace flatimg::flat {

namespace {

constexpr long kCreateRuleset = 444;  // the same numbers on every architecture
constexpr long kAddRule = 445;
constexpr long kRestrictSelf = 446;
constexpr unsigned kAskVersion = 1;
constexpr int kPathBeneath = 1;
// Earlier ones refuse every rename between directories, with EXDEV: mv would then copy the flat disk over the image.
constexpr int kFirstWithRefer = 2;

struct RulesetAttributes {
  std::uint64_t files;
  std::uint64_t network;  // version 4
  std::uint64_t scopes;   // version 6
};

struct [[gnu::packed]] PathBeneath {
  std::uint64_t allowed;
  std::int32_t directory;
};

namespace access_right {
constexpr std::uint64_t kWriteFile = 1u << 1;
constexpr std::uint64_t kReadFile = 1u << 2;
constexpr std::uint64_t kReadDirectory = 1u << 3;
constexpr std::uint64_t kRemoveDirectory = 1u << 4;
constexpr std::uint64_t kRemoveFile = 1u << 5;
constexpr std::uint64_t kMakeDirectory = 1u << 7;
constexpr std::uint64_t kMakeFile = 1u << 8;
constexpr std::uint64_t kMakeSocket = 1u << 9;
constexpr std::uint64_t kMakeFifo = 1u << 10;
constexpr std::uint64_t kMakeLink = 1u << 12;
constexpr std::uint64_t kRefer = 1u << 13;
constexpr std::uint64_t kTruncate = 1u << 14;
constexpr std::uint64_t kDeviceCommands = 1u << 15;
constexpr std::uint64_t kOnFiles = kWriteFile | kReadFile | kTruncate | kDeviceCommands;
}  // namespace access_right

/// How many rights of files each version knows.
std::uint64_t known_rights(int version) {
  constexpr std::array<unsigned, 6> kBits{0, 13, 14, 15, 15, 16};
  const auto at = std::min<std::size_t>(static_cast<std::size_t>(version), kBits.size() - 1);
  return (std::uint64_t{1} << kBits[at]) - 1;
}

std::uint64_t bits_of(Rights rights) {
  using namespace access_right;
  constexpr std::uint64_t kReading = kReadFile | kDeviceCommands;  // the size of a block device is asked for by ioctl
  constexpr std::uint64_t kWriting = kReading | kWriteFile | kTruncate;
  switch (rights) {
    case Rights::Read:
      return kReading;
    case Rights::ReadWrite:
      return kWriting;
    case Rights::ReadTree:
      return kReading | kReadDirectory;
    case Rights::Tree:
      return kWriting | kReadDirectory | kRemoveDirectory | kRemoveFile | kMakeDirectory | kMakeFile | kMakeSocket |
             kMakeFifo | kMakeLink | kRefer;
  }
  return 0;
}

Result<Descriptor> new_ruleset(int version) {
  const RulesetAttributes attributes{known_rights(version), version >= 4 ? 3u : 0u, version >= 6 ? 3u : 0u};
  std::size_t size = sizeof attributes.files;
  if (version >= 4) size += sizeof attributes.network;
  if (version >= 6) size += sizeof attributes.scopes;
  Descriptor ruleset(static_cast<int>(::syscall(kCreateRuleset, &attributes, size, 0u)));
  if (!ruleset.valid()) return fail_os(errno, "Landlock");
  return ruleset;
}

Result<void> permit(const Descriptor& ruleset, const Reachable& reachable, std::uint64_t known) {
  const Descriptor place(::open(reachable.path.c_str(), O_PATH | O_CLOEXEC));
  struct stat found {};
  if (!place.valid() || ::fstat(place.get(), &found) != 0) return {};
  std::uint64_t allowed = bits_of(reachable.rights) & known;
  if (!S_ISDIR(found.st_mode)) allowed &= access_right::kOnFiles;
  const PathBeneath rule{allowed, place.get()};
  if (::syscall(kAddRule, ruleset.get(), kPathBeneath, &rule, 0u) == 0) return {};
  return fail_os(errno, "Landlock, rule for {}", shown(reachable.path));
}

}  // namespace

int landlock_version() {
  const long version = ::syscall(kCreateRuleset, nullptr, std::size_t{0}, kAskVersion);
  return version > 0 ? static_cast<int>(version) : 0;
}

Result<void> restrict_with_landlock(const std::vector<Reachable>& reachable) {
  const int version = landlock_version();
  if (version == 0) {
    return fail(ErrorKind::Unsupported, "this kernel has no Landlock (Linux 5.13 or newer, with landlock in lsm=)");
  }
  const bool tree = std::ranges::any_of(reachable, [](const Reachable& one) { return one.rights == Rights::Tree; });
  if (tree && version < kFirstWithRefer) {
    return fail(ErrorKind::Unsupported,
                "Landlock of this kernel forbids to rename from one directory into another (Linux 5.19 does not)");
  }
  TRY(const Descriptor ruleset, new_ruleset(version));
  for (const Reachable& one : reachable) CHECK(permit(ruleset, one, known_rights(version)));
  if (::syscall(kRestrictSelf, ruleset.get(), 0u) != 0) return fail_os(errno, "Landlock");
  return {};
}

}  // namespace flatimg::flat
