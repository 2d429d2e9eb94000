// The lists, and how they become a filter.
//
// A call belongs on the list when the worker makes it after its confinement: to find out, run the mount tests with
// `strace -f` and look for ENOSYS or SIGSYS.
#include "fuse/syscall_filter.h"

#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <initializer_list>
#include <memory>

namespace flatimg::flat {

namespace {

// Requests and data come first: on machines without the kernel's bitmap of allowed calls the order matters.
constexpr std::array kHot{"read", "writev", "pread64", "pwritev", "futex", "pwrite64"};

constexpr std::array kAllowed{
    // bytes of files, also those of a tree
    "write", "readv", "preadv", "lseek", "fallocate", "fdatasync", "fsync", "sync_file_range", "ftruncate",
    "ftruncate64", "fadvise64", "copy_file_range",
    // opening: Landlock judges
    "open", "openat", "openat2", "close", "close_range", "fcntl", "fcntl64", "flock", "dup", "dup2", "dup3", "eventfd2",
    "pipe2",
    // looking
    "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "readlink", "readlinkat", "getcwd", "chdir",
    "access", "faccessat", "faccessat2",
    // memory
    "munmap", "mremap", "madvise", "brk", "mlock", "munlock", "membarrier",
    // threads and signals to oneself
    "set_robust_list", "rseq", "exit", "exit_group", "gettid", "getpid", "sched_yield", "sched_getaffinity",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "restart_syscall",
    // time
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    // the channel to the supervisor, and clients of the control socket: descriptors that are there already
    "poll", "ppoll", "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg", "setsockopt", "shutdown",
    // who one is
    "getuid", "geteuid", "getgid", "getegid", "getppid", "getrandom", "uname", "getrlimit", "getrusage", "sysinfo",
    "umask"};

// Files that are made, renamed and removed; their owners, modes and times; and doing so as somebody else. Landlock
// judges the first line; of owners, modes and times it knows nothing (README.md).
constexpr std::array kAllowedInTrees{"getdents64", "mkdirat",  "unlinkat",  "renameat", "renameat2", "linkat",
                                     "symlinkat",  "mknodat",  "truncate",  "fchmodat", "fchownat",  "utimensat",  //
                                     "setfsuid",   "setfsgid", "setgroups", "getgroups"};

// What only an intruder asks for.
constexpr std::array kDeadly{"execve",
                             "execveat",
                             "fork",
                             "vfork",
                             "ptrace",
                             "process_vm_readv",
                             "process_vm_writev",
                             "kill",
                             "tkill",
                             "rt_sigqueueinfo",
                             "rt_tgsigqueueinfo",
                             "pidfd_open",
                             "pidfd_getfd",
                             "pidfd_send_signal",
                             "socket",
                             "socketpair",
                             "connect",
                             "bind",
                             "listen",
                             "mount",
                             "umount",
                             "umount2",
                             "mount_setattr",
                             "move_mount",
                             "open_tree",
                             "fsopen",
                             "fsmount",
                             "fspick",
                             "pivot_root",
                             "chroot",
                             "unshare",
                             "setns",
                             "bpf",
                             "perf_event_open",
                             "userfaultfd",
                             "io_uring_setup",
                             "io_uring_enter",
                             "io_uring_register",
                             "keyctl",
                             "add_key",
                             "request_key",
                             "init_module",
                             "finit_module",
                             "delete_module",
                             "kexec_load",
                             "kexec_file_load",
                             "reboot",
                             "open_by_handle_at",
                             "personality",
                             "modify_ldt",
                             "iopl",
                             "ioperm",
                             "acct",
                             "swapon",
                             "swapoff",
                             "sethostname",
                             "setdomainname",
                             "settimeofday",
                             "clock_settime",
                             "adjtimex",
                             "quotactl",
                             "syslog",
                             "vhangup",
                             "capset",
                             "setuid",
                             "setgid",
                             "setreuid",
                             "setregid",
                             "setresuid",
                             "setresgid"};

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

Result<void> must_be(int outcome, std::string_view what) {
  if (outcome == 0) return {};
  return fail_os(-outcome, "seccomp, {}", what);
}

/// A rule, and none for a call that this architecture does not have.
Result<void> add(const Filter& filter, std::uint32_t action, const char* name,
                 std::initializer_list<scmp_arg_cmp> arguments = {}) {
  const int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR) return {};
  const int outcome =
      seccomp_rule_add_array(filter.get(), action, number, static_cast<unsigned>(arguments.size()), arguments.begin());
  return must_be(outcome == -EDOM ? 0 : outcome, name);
}

Result<void> allow(const Filter& filter, const char* name, std::initializer_list<scmp_arg_cmp> arguments = {}) {
  return add(filter, SCMP_ACT_ALLOW, name, arguments);
}

scmp_arg_cmp argument_is(unsigned nth, std::uint64_t value) { return {nth, SCMP_CMP_EQ, value, 0}; }
scmp_arg_cmp argument_has(unsigned nth, std::uint64_t bits, std::uint64_t value) {
  return {nth, SCMP_CMP_MASKED_EQ, bits, value};
}

/// Calls of which some uses are allowed; other uses get ENOSYS.
Result<void> allow_with_care(const Filter& filter) {
  // Threads, no processes. What clone3 is asked for cannot be seen: the C library falls back on clone.
  constexpr std::uint64_t kNamespaces =
      CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  CHECK(allow(filter, "clone", {argument_has(0, CLONE_THREAD | CLONE_VM | kNamespaces, CLONE_THREAD | CLONE_VM)}));
  for (const char* name : {"mmap", "mmap2", "mprotect"}) CHECK(allow(filter, name, {argument_has(2, PROT_EXEC, 0)}));
  CHECK(allow(filter, "tgkill", {argument_is(0, static_cast<std::uint64_t>(getpid()))}));
  CHECK(allow(filter, "prlimit64", {argument_is(0, 0)}));
  for (const std::uint64_t command : std::initializer_list<std::uint64_t>{BLKGETSIZE64, BLKZEROOUT}) {
    CHECK(allow(filter, "ioctl", {argument_has(1, 0xffffffffu, command)}));
  }
  return {};
}

[[maybe_unused]] Result<Filter> new_filter(Serving serving) {
  Filter filter(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (!filter) return fail(ErrorKind::NoMemory, "seccomp: no memory for a filter");
  CHECK(must_be(seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "architecture"));
  std::uint8_t priority = 255;
  for (const char* name : kHot) {
    CHECK(allow(filter, name));
    CHECK(must_be(seccomp_syscall_priority(filter.get(), seccomp_syscall_resolve_name(name), priority--), name));
  }
  for (const char* name : kAllowed) CHECK(allow(filter, name));
  if (serving == Serving::Tree) {
    for (const char* name : kAllowedInTrees) CHECK(allow(filter, name));
  }
  CHECK(allow_with_care(filter));
  for (const char* name : kDeadly) CHECK(add(filter, SCMP_ACT_KILL_PROCESS, name));
  return filter;
}

}  // namespace

Result<void> filter_system_calls([[maybe_unused]] Serving serving) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return fail(ErrorKind::Unsupported, "seccomp: this build has a sanitizer, which makes other system calls");
#else
  TRY(const Filter filter, new_filter(serving));
  if (const int outcome = seccomp_load(filter.get()); outcome != 0) {
    return fail_os(-outcome, "seccomp: the kernel takes no filter");
  }
  return {};
#endif
}

}  // namespace flatimg::flat
