// flatimg mount, and mount.flatimg as mount(8) calls it.
#include <unistd.h>

#include <memory>

#include "fuse/serve.h"
#include "tools/commands.h"
#include "tools/passphrase.h"

namespace flatimg::tools {

namespace {

constexpr int kUsageBit = 1;  // mount(8)'s exit status is a sum of bits
constexpr int kMountFailedBit = 32;

constexpr std::string_view kOptionsHelp = R"(Options of -o, separated by commas (write a comma inside a value as \,):
  format=F                raw, qcow2, qcow, sparse, composite, zstd; no probing
  allow-path=DIR[:DIR]    directories whose files the image may name, besides its own
  overlay=FILE            write to FILE, a qcow2 over the image, which is made when there is none; for a directory
                          of images: a directory of such files
  backing=FILE            the backing file, instead of what the image says
  pieces=FILE[:FILE]      the other pieces of a split Android sparse image, in order (found by their names)
  snapshot=ID|NAME        show this internal snapshot, read-only
  key-file=FILE           passphrase of encrypted images; asked for on the terminal otherwise
  cache-size=SIZE         budget for metadata and decoded blocks (64M)
  unpack=on|off           zstd files that can only be decoded as a whole: unpack them in the background, or refuse (on)
  unpack-dir=DIR          where to; kept for the next time (/var/cache/flatimg, ~/.cache/flatimg)
  unpack-size=SIZE        the most that such a file may hold, and that is kept in all (64G)
  flush-interval=SECONDS  oldest age of unwritten metadata (5)
  discard=unmap|ignore    what punching holes and trim do (unmap)
  detect-zeroes=off|on|unmap
                          what writing zeroes does (off: they are written)
  growable                truncate may resize the image
  suffix=.raw             put behind the names of flat files
  io=auto|thread|uring    transport to the kernel (auto)
  threads=N               worker threads (by CPU count)
  lock=on|off             image locks (on)
  audit=on|off            look for contradictions while nobody asks for anything (on)
  sandbox=on|off          read images in a process that can reach nothing else (on)
  ro rw allow_other uid=N gid=N umask=OCTAL fsname=NAME max_read=BYTES noatime ...
                          as for other FUSE mounts)";

struct MountArguments {
  bool foreground = false;
  std::vector<std::string> option_lists;
  std::string source;
  std::string mountpoint;
};

Result<flat::MountRequest> request_from(const MountArguments& arguments, flat::UnknownOption unknown) {
  TRY(flat::MountOptions options, flat::parse_options(arguments.option_lists, unknown));
  return flat::MountRequest{arguments.source, arguments.mountpoint, std::nullopt, std::move(options), nullptr};
}

int run_mount(const MountArguments& arguments) {
  auto request = request_from(arguments, flat::UnknownOption::Refuse);
  if (!request) return complain(request.error());
  if (const auto found = add_passphrase(*request); !found) return complain(found.error());
  return flat::serve(*std::move(request), arguments.foreground ? flat::Run::Foreground : flat::Run::Background);
}

/// mount(8): SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE], in any order.
struct HelperArguments {
  MountArguments mount;
  flat::UnknownOption unknown = flat::UnknownOption::Refuse;
  bool fake = false;
};

Result<HelperArguments> parse_helper_arguments(int argc, char** argv) {
  HelperArguments result;
  for (int letter = 0; (letter = getopt(argc, argv, "sfnvN:o:t:")) != -1;) {
    if (letter == 's') result.unknown = flat::UnknownOption::Ignore;
    if (letter == 'f') result.fake = true;
    if (letter == 'o') result.mount.option_lists.emplace_back(optarg);
    if (letter == '?') return fail(ErrorKind::BadUsage, "usage: mount.flatimg SOURCE MOUNTPOINT [-sfnv] [-o OPTIONS]");
  }
  if (argc - optind != 2)
    return fail(ErrorKind::BadUsage, "usage: mount.flatimg SOURCE MOUNTPOINT [-sfnv] [-o OPTIONS]");
  result.mount.source = argv[optind];
  result.mount.mountpoint = argv[optind + 1];
  return result;
}

}  // namespace

void add_mount_command(Program& program) {
  CLI::App* command = program.app.add_subcommand("mount", "Show an image as a flat file");
  auto arguments = std::make_shared<MountArguments>();
  command->add_flag("-f,--foreground", arguments->foreground, "Stay in the foreground until unmounted");
  command->add_option("-o", arguments->option_lists, "Mount options, see below")
      ->type_name("OPTIONS")
      ->allow_extra_args(false);
  command->add_option("SOURCE", arguments->source, "The image: a file or a block device; or a directory of images")
      ->required();
  command->add_option("MOUNTPOINT", arguments->mountpoint, "A directory, or a regular file (also the image itself)")
      ->required();
  command->footer(std::string(kOptionsHelp));
  command->callback([&program, arguments] { program.chosen = [arguments] { return run_mount(*arguments); }; });
}

int run_mount_helper(int argc, char** argv) {
  opterr = 0;
  const auto arguments = parse_helper_arguments(argc, argv);
  if (!arguments) return complain(arguments.error()), kUsageBit;
  auto request = request_from(arguments->mount, arguments->unknown);
  if (!request) return complain(request.error()), kUsageBit;
  if (!arguments->fake) {
    if (const auto found = add_passphrase(*request); !found) return complain(found.error()), kMountFailedBit;
    return flat::serve(*std::move(request), flat::Run::Background) == 0 ? 0 : kMountFailedBit;
  }
  if (const auto checked = flat::check_request(*request); !checked) return complain(checked.error()), kMountFailedBit;
  return 0;
}

}  // namespace flatimg::tools
