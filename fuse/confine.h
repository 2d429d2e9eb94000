// What a process gives up before it reads what others wrote. Cannot be undone.
//
// Order: no_new_privs, no dumps, capabilities, Landlock, seccomp. What the kernel does not have is left out, and told.
//
// Call while there is one thread: all of these belong to a thread, and are inherited by those that it starts.
#pragma once

#include <string>
#include <vector>

#include "fuse/landlock.h"

namespace flatimg::flat {

/// What is in force.
struct Confinement {
  bool asked_for = false;     // sandbox=on
  int landlock = 0;           // the version of its interface; 0: not restricted
  bool system_calls = false;  // filtered
  bool no_new_privileges = false;
  std::vector<std::string> capabilities;  // that are left: "cap_dac_override"; "cap_N" when it has no name here
  std::vector<std::string> missing;       // why not, one sentence each
};

/// Confines the process to these files. Root keeps CAP_DAC_OVERRIDE: among them may be files of others. With
/// Rights::Tree or Rights::ReadTree also what acting as the user who asks takes, calls and capabilities.
[[nodiscard]] Confinement confine(const std::vector<Reachable>& reachable);

}  // namespace flatimg::flat
