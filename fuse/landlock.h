// Landlock: what a process may still open, as rules on files and directories. Cannot be undone.
//
// The kernel's interface as of version 7; older kernels know less of it, and then that part is not restricted.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace flatimg::flat {

/// What is permitted on a file, or on everything beneath a directory.
enum class Rights {
  Read,       // files are opened for reading
  ReadWrite,  // and for writing, and resized
  ReadTree,   // directories are listed as well
  Tree,       // a whole tree is managed: listed, made, renamed, linked, removed
};

struct Reachable {
  std::string path;  // links are followed
  Rights rights = Rights::Read;
};

/// The version of the interface that this kernel has; 0 when it has none or it is switched off.
[[nodiscard]] int landlock_version();

/// The calling thread, and every thread and process that it starts, opens nothing else from now on; binds and connects
/// no TCP socket, signals no process outside, connects to no abstract socket outside. Paths that do not exist are left
/// out. Takes no_new_privs. Unsupported where the kernel has no Landlock, and for Rights::Tree where it has version 1.
Result<void> restrict_with_landlock(const std::vector<Reachable>& reachable);

}  // namespace flatimg::flat
