// flatimg convert: a disk in another format. The new image appears complete or not at all: it is built beside its
// place, flushed, and renamed. A block device is written where it is.
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <memory>

#include "base/text.h"
#include "catalog/create_image.h"
#include "catalog/encrypt_options.h"
#include "catalog/write_image.h"
#include "host/replacement.h"
#include "tools/format_options.h"
#include "tools/image_options.h"
#include "tools/passphrase.h"
#include "tools/progress_bar.h"
#include "transfer/compressed_writer.h"
#include "transfer/copy.h"
#include "transfer/encode.h"

namespace flatimg::tools {

namespace {

struct ConvertOptions {
  DiskSource source;
  std::string target;
  std::string format;
  std::vector<std::string> words;  // of -o
  bool compressed = false;
  std::string target_key_file;
  ProgressBar::When bar = ProgressBar::When::OnTerminal;
  unsigned threads = 0;
  bool quiet = false;
};

// --- what is left behind by signals ---------------------------------------------------------------------------------

std::array<char, 4096> g_begun{};  // the file that goes with the program

void remove_and_end(int signal) {
  (void)::unlink(g_begun.data());
  std::signal(signal, SIG_DFL);
  (void)std::raise(signal);
}

/// While this lives, a signal that ends the program removes the file as well.
class RemovedBySignals {
 public:
  explicit RemovedBySignals(const std::string& path) {
    if (path.size() >= g_begun.size()) return;
    std::memcpy(g_begun.data(), path.c_str(), path.size() + 1);
    for (const int signal : kSignals) {
      if (std::signal(signal, remove_and_end) == SIG_IGN) std::signal(signal, SIG_IGN);
    }
  }
  ~RemovedBySignals() {
    for (const int signal : kSignals) std::signal(signal, SIG_DFL);
  }
  RemovedBySignals(const RemovedBySignals&) = delete;
  RemovedBySignals& operator=(const RemovedBySignals&) = delete;

 private:
  static constexpr std::array<int, 3> kSignals{SIGINT, SIGTERM, SIGHUP};
};

// --- the target -----------------------------------------------------------------------------------------------------

Result<catalog::CreateRequest> create_request(const ConvertOptions& options, ByteCount size) {
  catalog::CreateRequest request;
  request.format = options.format;
  request.size = size;
  TRY(request.options, format_options(options.words));
  for (const auto& [name, value] : request.options) {
    if (name != "size" && name != "backing_file" && name != "backing_fmt") continue;
    return fail(ErrorKind::BadUsage, "-o {}: is not for convert, whose result is a whole disk of the same size", name);
  }
  if (catalog::makes_encrypted(request)) {
    if (options.compressed) return fail(ErrorKind::BadUsage, "-c: an encrypted image cannot hold compressed data");
    const bool its_own = !options.target_key_file.empty();
    TRY(request.passphrase, new_passphrase(options.target, its_own ? options.target_key_file : options.source.key_file));
  }
  return request;
}

template <class Work>
Result<void> with_progress(const ConvertOptions& options, const Work& work) {
  ProgressBar bar(options.quiet ? ProgressBar::When::Never : options.bar, ProgressBar::Unit::Bytes);
  return work(bar.progress());
}

/// Into an image that exists.
Result<void> fill(Disk& source, const catalog::OpenRequest& target, transfer::Target before,
                  const ConvertOptions& options) {
  TRY(catalog::Opened opened, catalog::open_image(target));
  Disk disk(std::move(opened.chain), {});
  if (disk.size() < source.size()) {
    return fail(ErrorKind::NoSpace, "{}: has {} bytes, and the disk {}", shown(target.path), disk.size().value(),
                source.size().value());
  }
  CHECK(with_progress(options, [&](const Progress& progress) -> Result<void> {
    if (!options.compressed) return transfer::copy(source, disk, before, options.threads, progress);
    transfer::CompressedWriter writer(disk);
    return transfer::encode(source, writer, options.threads, progress);
  }));
  return disk.close();
}

catalog::OpenRequest target_request(const ConvertOptions& options) {
  catalog::OpenRequest request;
  request.path = options.target;
  request.format = options.format;
  request.read_only_if_need_be = false;
  return request;
}

Result<void> onto_device(Disk& source, const ConvertOptions& options) {
  if (options.format != "raw" || !options.words.empty() || options.compressed) {
    return fail(ErrorKind::BadUsage, "{}: a block device takes a raw disk only: -O raw, without -o",
                shown(options.target));
  }
  return fill(source, target_request(options), transfer::Target::Anything, options);
}

using Notes = std::vector<std::string>;

/// An image that can be written anywhere.
Result<Notes> build(Disk& source, const catalog::CreateRequest& wanted, const ConvertOptions& options) {
  TRY(Notes notes, catalog::create_image(wanted));
  catalog::OpenRequest target = target_request(options);
  target.path = wanted.path;
  target.passphrase = wanted.passphrase;
  CHECK(fill(source, target, transfer::Target::Zeroes, options));
  return notes;
}

/// An image that is written from its beginning to its end.
Result<Notes> write_once(Disk& source, const catalog::CreateRequest& wanted, const ConvertOptions& options) {
  TRY(catalog::BegunImage begun, catalog::begin_image(wanted));
  CHECK(with_progress(options, [&](const Progress& progress) {
    return transfer::encode(source, *begun.writer, options.threads, progress);
  }));
  begun.file.keep();
  return std::move(begun.notes);
}

/// -c is for formats whose clusters can be compressed one by one.
Result<void> check_compression(const ConvertOptions& options) {
  if (!options.compressed || options.format == "qcow2" || options.format == "qcow") return {};
  if (options.format == "zstd") return fail(ErrorKind::BadUsage, "-c: a zstd image is compressed anyway: leave it out");
  return fail(ErrorKind::BadUsage, "-c: images of the format \"{}\" cannot be compressed: use qcow2, qcow or -O zstd",
              shown(options.format));
}

Result<void> into_new_file(Disk& source, const ConvertOptions& options) {
  TRY(catalog::CreateRequest wanted, create_request(options, source.size()));
  TRY(Replacement replacement, Replacement::of(options.target));
  const RemovedBySignals removed(replacement.building_site());
  wanted.path = replacement.building_site();
  TRY(const Notes notes,
      catalog::is_written_once(options.format) ? write_once(source, wanted, options) : build(source, wanted, options));
  CHECK(replacement.take_place());
  if (!options.quiet) {
    for (const std::string& note : notes) complain(note);
  }
  return {};
}

// --- the command ----------------------------------------------------------------------------------------------------

Result<void> convert(const ConvertOptions& options) {
  CHECK(check_compression(options));
  struct stat source_file {};
  struct stat target_file {};
  const bool target_exists = ::stat(options.target.c_str(), &target_file) == 0;
  if (target_exists && ::stat(options.source.path.c_str(), &source_file) == 0 &&
      source_file.st_dev == target_file.st_dev && source_file.st_ino == target_file.st_ino) {
    return fail(ErrorKind::BadUsage, "{}: is the image itself: choose another name", shown(options.target));
  }
  TRY(catalog::Opened opened, open_with_passphrase(open_request(options.source), options.source.key_file));
  if (!options.quiet) {
    for (const std::string& note : opened.notes) complain(note);
  }
  Disk source(std::move(opened.chain), {});
  CHECK(target_exists && S_ISBLK(target_file.st_mode) ? onto_device(source, options) : into_new_file(source, options));
  return source.close();
}

int run_convert(const ConvertOptions& options) {
  const auto done = convert(options);
  return done ? 0 : complain(done.error());
}

}  // namespace

void add_convert_command(Program& program) {
  const auto options = std::make_shared<ConvertOptions>();
  CLI::App* command = program.app.add_subcommand("convert", "Write the disk of an image into a new image");
  command->footer("The new image appears complete, or not at all. A file of its name is replaced.");
  add_disk_source(*command, options->source);
  command
      ->add_option("-O,--target-format", options->format, "Format of the new image: raw, qcow2, qcow, sparse or zstd")
      ->required();
  command->add_flag("-c,--compress", options->compressed, "Compress the clusters of a qcow2 or qcow image");
  add_format_options(*command, options->words);
  command
      ->add_option("--target-key-file", options->target_key_file,
                   "Passphrase of the new image, with -o encrypt.format=... (default: --key-file)")
      ->type_name("FILE");
  command->add_option("-T,--threads", options->threads, "How many threads read and write")
      ->check(CLI::Range(1u, 16u))
      ->type_name("N");
  add_progress_option(*command, options->bar);
  command->add_flag("-q,--quiet", options->quiet, "Print nothing but errors");
  command->add_option("TARGET", options->target, "The new image")->required();
  command->callback([&program, options] { program.chosen = [options] { return run_convert(*options); }; });
}

}  // namespace flatimg::tools
