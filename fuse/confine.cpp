// The steps of confine.h.
#include "fuse/confine.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "fuse/syscall_filter.h"

namespace flatimg::flat {

namespace {

constexpr std::uint64_t kKept = std::uint64_t{1} << CAP_DAC_OVERRIDE;

/// As the kernel takes them: two words of 32 for each set.
struct Capabilities {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> words{};

  [[nodiscard]] bool read() { return ::syscall(SYS_capget, &header, words.data()) == 0; }
  [[nodiscard]] bool write() { return ::syscall(SYS_capset, &header, words.data()) == 0; }
};

Result<void> drop_capabilities() {
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  Capabilities now;
  if (!now.read()) return fail_os(errno, "asking for the capabilities");
  for (std::size_t word = 0; word < now.words.size(); ++word) {
    const auto kept = static_cast<std::uint32_t>(kKept >> (32 * word));
    now.words[word].permitted &= kept;
    now.words[word].effective = now.words[word].permitted;
    now.words[word].inheritable = 0;
  }
  if (!now.write()) return fail_os(errno, "dropping capabilities");
  return {};
}

std::vector<std::string> capabilities_left() {
  Capabilities now;
  std::vector<std::string> names;
  if (!now.read()) return names;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((now.words[bit / 32].effective >> (bit % 32) & 1u) == 0) continue;
    names.push_back(bit == CAP_DAC_OVERRIDE ? "cap_dac_override" : fmt::format("cap_{}", bit));
  }
  return names;
}

}  // namespace

Confinement confine(const std::vector<Reachable>& reachable) {
  Confinement result;
  result.asked_for = true;
  const auto worked = [&](const Result<void>& step) {
    if (!step) result.missing.push_back(step.error().text);
    return step.has_value();
  };
  result.no_new_privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // nor may others of this user read our memory
  (void)worked(drop_capabilities());
  result.capabilities = capabilities_left();
  if (worked(restrict_with_landlock(reachable))) result.landlock = landlock_version();
  result.system_calls = worked(filter_system_calls());
  return result;
}

}  // namespace flatimg::flat
