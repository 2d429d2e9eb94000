#include "fuse/tree/open_images.h"

#include <filesystem>

#include "base/log.h"
#include "base/text.h"

namespace flatimg::flat::tree {

namespace {

constexpr std::size_t kMostFailures = 1000;  // kept for `status`

/// A share of the budget that goes back with the disk.
class Share {
 public:
  static Result<std::shared_ptr<const Share>> of(const std::shared_ptr<Budget>& budget) {
    const auto bytes = budget->take();
    if (bytes) return std::shared_ptr<const Share>(new Share(budget, *bytes));
    return fail(ErrorKind::Limit, "{} images are open, which is what cache-size allows: make it larger",
                budget->most_images());
  }
  ~Share() { budget_->give_back(bytes_); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  [[nodiscard]] ByteCount bytes() const { return bytes_; }

 private:
  Share(std::shared_ptr<Budget> budget, ByteCount bytes) : budget_(std::move(budget)), bytes_(bytes) {}
  std::shared_ptr<Budget> budget_;
  ByteCount bytes_;
};

}  // namespace

OpenImages::OpenImages(Gate gate, const MountOptions& options, std::shared_ptr<const Secret> passphrase)
    : gate_(std::move(gate)),
      options_(options),
      passphrase_(std::move(passphrase)),
      budget_(std::make_shared<Budget>(options.cache_size)) {}

// The share lives as long as the function, which the image owns.
OpenImage::Open OpenImages::opener(const Wanted& wanted) {
  const auto share = std::make_shared<std::shared_ptr<const Share>>();
  return [this, wanted, share](Access access) -> Result<OpenImage::Opened> {
    if (!*share) {
      TRY(*share, Share::of(budget_));
    }
    catalog::OpenRequest request;
    request.path = wanted.path;
    request.access = access;
    request.read_only_if_need_be = false;
    request.overlay = wanted.overlay;
    request.gate = &gate_;
    request.open_named = [&](const std::string& path, Access how) {
      return path == wanted.path ? wanted.open_file(how) : open_host_file(path, how);
    };
    request.cache_size = (*share)->bytes();
    request.flush_interval = options_.flush_interval;
    request.locks = options_.locks;
    request.passphrase = passphrase_;
    TRY(catalog::Opened opened, catalog::open_image(request));
    auto disk = std::make_unique<Disk>(std::move(opened.chain), options_.disk);
    return OpenImage::Opened{std::move(disk), std::move(opened.format), std::move(opened.notes)};
  };
}

Result<OpenImages::Beside> OpenImages::open_beside(catalog::OpenRequest request, const OpenFile& open_file) {
  TRY(auto share, Share::of(budget_));
  request.cache_size = share->bytes();
  request.gate = &gate_;
  request.open_named = [&](const std::string& /*path*/, Access how) { return open_file(how); };
  request.passphrase = passphrase_;
  TRY(catalog::Opened opened, catalog::open_image(request));
  return Beside{std::move(share), std::make_unique<Disk>(std::move(opened.chain), options_.disk)};
}

std::shared_ptr<OpenImage> OpenImages::find_or_add(const Wanted& wanted) {
  const MutexLock lock(mutex_);
  Entry& entry = images_[wanted.key];
  if (!entry.image) entry.image = std::make_shared<OpenImage>(wanted.path, opener(wanted));
  ++entry.wanted;
  return entry.image;
}

void OpenImages::drop_if_closed(const FileKey& key) {
  std::shared_ptr<OpenImage> dropped;
  const MutexLock lock(mutex_);
  const auto found = images_.find(key);
  if (found == images_.end() || --found->second.wanted > 0) return;
  dropped = std::move(found->second.image);
  images_.erase(found);
}

Result<std::shared_ptr<OpenImage>> OpenImages::open(const Wanted& wanted) {
  auto image = find_or_add(wanted);
  auto opened = image->add_handle(wanted.access);
  if (opened) return image;
  drop_if_closed(wanted.key);
  return Failure(std::move(opened.error()));
}

void OpenImages::note_failure(const std::string& path, const Error& error) {
  log(LogLevel::Error, "{}: closing: {}", shown(path), error.text);
  const MutexLock lock(mutex_);
  if (failures_.size() < kMostFailures) failures_[path] = error.text;
}

void OpenImages::close(const FileKey& key, const std::shared_ptr<OpenImage>& image, Access access) {
  const auto closed = image->remove_handle(access);
  if (!closed) note_failure(image->path(), closed.error());
  drop_if_closed(key);
}

std::shared_ptr<OpenImage> OpenImages::find(const FileKey& key) const {
  const MutexLock lock(mutex_);
  const auto found = images_.find(key);
  return found == images_.end() ? nullptr : found->second.image;
}

std::vector<std::shared_ptr<OpenImage>> OpenImages::all() const {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<OpenImage>> images;
  for (const auto& [key, entry] : images_) images.push_back(entry.image);
  return images;
}

Result<void> OpenImages::flush_all() {
  Result<void> first;
  for (const auto& image : all()) {
    const OpenImage::Use use(*image);
    auto flushed = use.disk() != nullptr ? use.disk()->flush() : Result<void>();
    if (first && !flushed) first = std::move(flushed);
  }
  return first;
}

Result<void> OpenImages::close_all() {
  for (const auto& image : all()) {
    if (const auto closed = image->close(); !closed) note_failure(image->path(), closed.error());
  }
  const auto failures = last_failures();
  if (failures.empty()) return {};
  return fail(ErrorKind::Io, "{}: {}", shown(failures.begin()->first), failures.begin()->second);
}

std::map<std::string, std::string> OpenImages::last_failures() const {
  const MutexLock lock(mutex_);
  return failures_;
}

}  // namespace flatimg::flat::tree
