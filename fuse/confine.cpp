// The steps of confine.h.
#include "fuse/confine.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <span>
#include <string_view>

#include "fuse/syscall_filter.h"

namespace flatimg::flat {

namespace {

struct Named {
  unsigned bit;
  std::string_view name;
};
// The first for every mount; the rest for a tree, whose files are made and changed as the user who asked for it.
constexpr std::array<Named, 6> kKept{{{CAP_DAC_OVERRIDE, "cap_dac_override"},
                                      {CAP_CHOWN, "cap_chown"},
                                      {CAP_FOWNER, "cap_fowner"},
                                      {CAP_FSETID, "cap_fsetid"},
                                      {CAP_SETUID, "cap_setuid"},
                                      {CAP_SETGID, "cap_setgid"}}};

std::uint64_t kept_for(Serving serving) {
  std::uint64_t bits = 0;
  for (const Named& one : std::span(kKept).first(serving == Serving::Tree ? kKept.size() : 1)) {
    bits |= std::uint64_t{1} << one.bit;
  }
  return bits;
}

/// As the kernel takes them: two words of 32 for each set.
struct Capabilities {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> words{};

  [[nodiscard]] bool read() { return ::syscall(SYS_capget, &header, words.data()) == 0; }
  [[nodiscard]] bool write() { return ::syscall(SYS_capset, &header, words.data()) == 0; }
};

Result<void> drop_capabilities(Serving serving) {
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  Capabilities now;
  if (!now.read()) return fail_os(errno, "asking for the capabilities");
  for (std::size_t word = 0; word < now.words.size(); ++word) {
    const auto kept = static_cast<std::uint32_t>(kept_for(serving) >> (32 * word));
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
    const auto* known = std::ranges::find(kKept, bit, &Named::bit);
    names.push_back(known != kKept.end() ? std::string(known->name) : fmt::format("cap_{}", bit));
  }
  return names;
}

}  // namespace

Confinement confine(const std::vector<Reachable>& reachable) {
  Confinement result;
  result.asked_for = true;
  const bool tree = std::ranges::any_of(reachable, [](const auto& one) { return one.rights >= Rights::ReadTree; });
  const Serving serving = tree ? Serving::Tree : Serving::Image;
  const auto worked = [&](const Result<void>& step) {
    if (!step) result.missing.push_back(step.error().text);
    return step.has_value();
  };
  result.no_new_privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // nor may others of this user read our memory
  (void)worked(drop_capabilities(serving));
  result.capabilities = capabilities_left();
  if (worked(restrict_with_landlock(reachable))) result.landlock = landlock_version();
  result.system_calls = worked(filter_system_calls(serving));
  return result;
}

}  // namespace flatimg::flat
