#include "catalog/open.h"

#include <algorithm>

#include "base/limits.h"
#include "host/file_lock.h"
#include "host/gate.h"
#include "host/sticky_file.h"
#include "qcow2/qcow2_image.h"
#include "raw/raw_image.h"

namespace flatimg::catalog {

namespace {

// One file of the chain that is being opened.
struct Source {
  std::unique_ptr<HostFile> file;
  std::string path;                   // names in the image are relative to its directory
  std::optional<std::string> format;  // nullopt: probe
  Access access = Access::ReadOnly;
  std::shared_ptr<BarrierMemory> barriers = new_barrier_memory();  // the files of one image fail together
};

class Opener {
 public:
  Opener(const OpenRequest& request, Gate gate)
      : request_(request), gate_(std::move(gate)), cache_left_(request.cache_size) {}

  Result<Opened> open();

 private:
  Result<Source> open_top();
  Result<Image*> open_source(Source source);
  Result<Image*> open_raw(Source source, bool guessed);
  Result<Image*> open_qcow2(Source source);
  Result<Image*> open_backing(const qcow2::Header& header, const std::string& asking_path);
  Result<std::unique_ptr<HostFile>> open_data_file(const qcow2::Header& header, const Source& source);
  Result<void> lock(const HostFile& file, Access access) const;
  Result<void> note_in_chain(const HostFile& file);
  Image* keep(std::unique_ptr<Image> image);
  ByteCount take_cache_share(const qcow2::Header& header);

  const OpenRequest& request_;
  Gate gate_;
  Opened opened_;
  std::vector<FileIdentity> seen_;
  ByteCount cache_left_;  // of the budget, for images further down
};

raw::FirstSectorGuard guard_for(const std::string& path) {
  return [path](std::span<const std::byte> sector) -> Result<void> {
    const std::string format = format_of(sector);
    if (format == "raw") return {};
    return fail(ErrorKind::Denied,
                "{}: this write would turn a disk that was taken for raw into {}: name its format with format=raw",
                path, format);
  };
}

Result<void> Opener::lock(const HostFile& file, Access access) const {
  if (!request_.locks) return {};
  return lock_image(file, access == Access::ReadWrite ? LockAs::Writer : LockAs::Reader);
}

// No file appears twice in a chain, and no chain is longer than the limit.
Result<void> Opener::note_in_chain(const HostFile& file) {
  if (std::find(seen_.begin(), seen_.end(), file.identity()) != seen_.end()) {
    return fail(ErrorKind::InvalidImage, "{}: the chain of backing files comes back to this file", file.name());
  }
  if (seen_.size() > limits::kChainDepth) {
    return fail(ErrorKind::Limit, "{}: a chain of more than {} backing files", file.name(), limits::kChainDepth);
  }
  seen_.push_back(file.identity());
  return {};
}

Image* Opener::keep(std::unique_ptr<Image> image) {
  opened_.chain.push_back(std::move(image));
  return opened_.chain.back().get();
}

// --- the top --------------------------------------------------------------------------------------------------------

Result<Source> Opener::open_top() {
  Source top{nullptr, request_.path, request_.format, request_.access};
  auto file = open_host_file(request_.path, request_.access);
  if (!file && file.error().kind == ErrorKind::Denied && request_.access == Access::ReadWrite &&
      request_.read_only_if_need_be) {
    const std::string reason = file.error().text;
    file = open_host_file(request_.path, Access::ReadOnly);
    if (file) {
      top.access = Access::ReadOnly;
      opened_.notes.push_back(fmt::format("{}; opened read-only", reason));
    }
  }
  if (!file) return Failure(std::move(file.error()));
  top.file = *std::move(file);
  CHECK(lock(*top.file, top.access));
  return top;
}

Result<Opened> Opener::open() {
  TRY(Source top, open_top());
  TRY(Image* const image, open_source(std::move(top)));
  std::reverse(opened_.chain.begin(), opened_.chain.end());  // built from the bottom
  opened_.format = image->traits().format;
  if (!image->traits().read_only_reason.empty()) {
    if (!request_.read_only_if_need_be) {
      return fail(ErrorKind::Denied, "{}: {}", request_.path, image->traits().read_only_reason);
    }
    opened_.notes.push_back(fmt::format("{}: opened read-only: {}", request_.path, image->traits().read_only_reason));
  }
  return std::move(opened_);
}

Result<Image*> Opener::open_source(Source source) {
  CHECK(note_in_chain(*source.file));
  source.file = with_sticky_failure(std::move(source.file), source.barriers);
  const bool guessed = !source.format;
  if (guessed) {
    TRY(source.format, probe(*source.file));
  }
  if (seen_.size() == 1) opened_.format_guessed = guessed;
  if (*source.format == "raw") return open_raw(std::move(source), guessed);
  if (*source.format == "qcow2") return open_qcow2(std::move(source));
  const auto& names = format_names();
  if (std::find(names.begin(), names.end(), *source.format) != names.end()) {
    return fail(ErrorKind::Unsupported, "{}: the format {} is not supported yet: convert it to qcow2 or raw",
                source.path, *source.format);
  }
  return fail(ErrorKind::BadUsage, "{}: unknown format \"{}\": use one of {}", source.path, *source.format,
              fmt::join(names, " "));
}

// --- the formats ----------------------------------------------------------------------------------------------------

Result<Image*> Opener::open_raw(Source source, bool guessed) {
  auto guard = guessed ? guard_for(source.path) : raw::FirstSectorGuard();
  TRY(auto image, raw::RawImage::open(std::move(source.file), std::move(guard)));
  return keep(std::move(image));
}

// Half of what is left for an image with another one behind it, all of it for the last.
ByteCount Opener::take_cache_share(const qcow2::Header& header) {
  const bool last = !header.backing_name && !request_.backing;
  const ByteCount share = last ? cache_left_ : ByteCount(cache_left_.value() / 2);
  cache_left_ -= share;
  return share;
}

Result<Image*> Opener::open_qcow2(Source source) {
  TRY(qcow2::Header header, qcow2::read_header(*source.file));
  const ByteCount cache_share = take_cache_share(header);
  TRY(auto data_file, open_data_file(header, source));
  TRY(Image* const below, open_backing(header, source.path));
  qcow2::OpenOptions options;
  options.writable = source.access == Access::ReadWrite;
  options.cache_size = cache_share;
  options.flush_interval = request_.flush_interval;
  TRY(auto image,
      qcow2::Qcow2Image::open(std::move(source.file), std::move(header), std::move(data_file), below, options));
  return keep(std::move(image));
}

Result<std::unique_ptr<HostFile>> Opener::open_data_file(const qcow2::Header& header, const Source& source) {
  if (!header.has(qcow2::incompatible::kDataFile)) return std::unique_ptr<HostFile>();
  if (!header.data_file_name) {
    return fail(ErrorKind::InvalidImage, "{}: the image does not name its external data file", source.path);
  }
  TRY(auto data, gate_.open({*header.data_file_name, source.path, "data file", source.access, seen_}));
  CHECK(lock(*data.file, source.access));
  return with_sticky_failure(std::move(data.file), source.barriers);
}

Result<Image*> Opener::open_backing(const qcow2::Header& header, const std::string& asking_path) {
  const bool replaced = seen_.size() == 1 && request_.backing;
  if (!header.backing_name && !replaced) return nullptr;
  if (header.raw_data_file()) {
    return fail(ErrorKind::InvalidImage, "{}: a raw data file and a backing file exclude each other", asking_path);
  }
  Source backing;
  backing.format = header.backing_format;
  if (replaced) {
    backing.path = *request_.backing;
    TRY(backing.file, open_host_file(backing.path, Access::ReadOnly));
  } else {
    TRY(auto opened, gate_.open({*header.backing_name, asking_path, "backing file", Access::ReadOnly}));
    backing.path = std::move(opened.path);
    backing.file = std::move(opened.file);
  }
  if (!backing.format) {
    opened_.notes.push_back(fmt::format("{}: the format of its backing file {} is not recorded; it was guessed",
                                        asking_path, backing.path));
  }
  CHECK(lock(*backing.file, Access::ReadOnly));
  return open_source(std::move(backing));
}

}  // namespace

Result<Opened> open_image(const OpenRequest& request) {
  TRY(Gate gate, Gate::around(request.path, request.allowed_directories));
  return Opener(request, std::move(gate)).open();
}

}  // namespace flatimg::catalog
