// A child process that confines itself and then tries something.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <functional>
#include <vector>

#include "fuse/confine.h"

namespace flatimg::test {

constexpr int kKilledBySystemCall = 1000 + SIGSYS;

/// What became of a child: its exit code, or 1000 and the signal that ended it.
inline int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 99;
    try {
      code = body();
    } catch (const std::exception&) {
    }
    ::_exit(code);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) != child) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/// What `attempt` returns in a confined child; 98 when the kernel could not confine it.
inline int confined(const std::vector<flat::Reachable>& reachable, const std::function<int()>& attempt) {
  return in_child([&] {
    if (!flat::confine(reachable).missing.empty()) return 98;
    return attempt();
  });
}

/// Empty when this machine can confine; else why not.
inline std::string why_no_confinement() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return "a sanitizer makes system calls of its own";
#else
  if (flat::landlock_version() == 0) return "this kernel has no Landlock";
  if (confined({}, [] { return 0; }) != 0) return "this machine cannot confine a process";
  return {};
#endif
}

}  // namespace flatimg::test
