// flatimg umount, and umount.flatimg as umount(8) calls it: unmounts, and waits until the image is final.
#include <unistd.h>

#include <memory>

#include "fuse/client.h"
#include "tools/commands.h"

namespace flatimg::tools {

namespace {

constexpr int kUnmountFailedBit = 32;  // umount(8) has the exit status of mount(8), a sum of bits

int run_umount(const std::string& mountpoint, flat::Unmount how) {
  const auto mount = flat::find_mount(mountpoint);
  if (!mount) return complain(mount.error());
  const auto ended = flat::unmount_and_wait(*mount, how);
  if (!ended) return complain(ended.error());
  if (!ended->empty()) complain(*ended);  // a note, not a failure
  return 0;
}

struct UmountArguments {
  std::string mountpoint;
  bool lazy = false;
};

}  // namespace

void add_umount_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("umount", "Unmount, and wait until the image is final");
  auto arguments = std::make_shared<UmountArguments>();
  command->add_flag("-l,--lazy", arguments->lazy, "Detach now, and end when the last user has gone");
  command->add_option("MOUNTPOINT", arguments->mountpoint, "Where the image is mounted")->required();
  command->callback([&program, arguments] {
    program.chosen = [arguments] {
      return run_umount(arguments->mountpoint, arguments->lazy ? flat::Unmount::Lazily : flat::Unmount::Now);
    };
  });
}

// umount(8): DIR [-flnrv] [-N NAMESPACE] [-t TYPE]
int run_umount_helper(int argc, char** argv) {
  flat::Unmount how = flat::Unmount::Now;
  opterr = 0;
  for (int letter = 0; (letter = getopt(argc, argv, "flnrvN:t:")) != -1;) {
    if (letter == 'l') how = flat::Unmount::Lazily;
    if (letter == '?') return complain("usage: umount.flatimg MOUNTPOINT [-flnrv]");
  }
  if (argc - optind != 1) return complain("usage: umount.flatimg MOUNTPOINT [-flnrv]");
  return run_umount(argv[optind], how) == 0 ? 0 : kUnmountFailedBit;
}

}  // namespace flatimg::tools
