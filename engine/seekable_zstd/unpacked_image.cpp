#include "seekable_zstd/unpacked_image.h"

#include <algorithm>

#include "base/log.h"
#include "host/cache_directory.h"

namespace flatimg::seekable_zstd {

namespace {

constexpr ByteCount kUnit{4096};

class ImageOfSize final : public Image {
 public:
  explicit ImageOfSize(ByteCount size) : size_(size) {
    traits_.format = "zstd";
    traits_.unit = kUnit;
    traits_.fixed_map = true;
  }
  [[nodiscard]] const Traits& traits() const override { return traits_; }
  [[nodiscard]] ByteCount size() const override { return size_; }
  Result<Extent> map(GuestRange want, Look /*look*/) override {
    return Extent{want, Encoded{0, {GuestOffset(0), size_}}};
  }
  Result<void> flush() override { return {}; }
  Result<void> close() override { return {}; }
  std::optional<ByteCount> known_data_bytes() override { return size_; }

 private:
  Traits traits_;
  ByteCount size_;
};

}  // namespace

Result<std::unique_ptr<Image>> image_of_size(HostFile& packed) {
  TRY(const Survey known, survey(packed));
  if (known.size) return std::unique_ptr<Image>(std::make_unique<ImageOfSize>(*known.size));
  return fail(ErrorKind::Unsupported, "{}: its frames do not state their size: it has to be unpacked first",
              packed.name());
}

UnpackedImage::UnpackedImage(std::unique_ptr<HostFile> packed, const UnpackOptions& options)
    : packed_(std::move(packed)), files_(options.files) {
  traits_.format = "zstd";
  traits_.unit = kUnit;
  traits_.fixed_map = true;
  traits_.read_only_reason = options.read_only_reason;
}

UnpackedImage::~UnpackedImage() = default;

Result<std::unique_ptr<UnpackedImage>> UnpackedImage::open(std::unique_ptr<HostFile> packed,
                                                           const UnpackOptions& options) {
  std::unique_ptr<UnpackedImage> image(new UnpackedImage(std::move(packed), options));
  CHECK(image->find_or_begin(options.limits));
  return image;
}

Result<void> UnpackedImage::find_or_begin(UnpackLimits limits) {
  TRY(const Survey expected, survey(*packed_));
  TRY(unpacked_, files_->find(*packed_));
  if (unpacked_) {
    TRY(size_, unpacked_->size());
    if (!expected.size || *expected.size == size_) return {};
  }
  if (expected.size && *expected.size > limits.size) {
    return fail(ErrorKind::Limit, "{}: holds {} bytes: raise unpack-size", packed_->name(), expected.size->value());
  }
  TRY(unpacked_, files_->begin(*packed_));
  unpacking_ = std::make_unique<Unpacking>(
      *packed_, *unpacked_, expected, limits, [this] { return check_space_left(*unpacked_); }, [this] { keep(); });
  if (expected.size) {
    size_ = *expected.size;
    return {};
  }
  TRY(size_, unpacking_->wait_for_end());
  return {};
}

void UnpackedImage::keep() {
  if (auto kept = files_->keep(*packed_, *unpacked_); !kept) log(LogLevel::Warning, "{}", kept.error().text);
}

Result<Extent> UnpackedImage::map(GuestRange want, Look look) {
  const HostOffset begin(want.begin.value());
  if (!unpacking_) return map_complete(want, look);
  if (look == Look::Holes) return Extent{want, InFile{unpacked_.get(), begin, false}};
  TRY(const HostOffset end, unpacking_->wait_for(begin));
  return Extent{want.first(end - begin), InFile{unpacked_.get(), begin, false}};
}

Result<Extent> UnpackedImage::map_complete(GuestRange want, Look look) {
  const HostOffset begin(want.begin.value());
  const Extent data{want, InFile{unpacked_.get(), begin, false}};
  if (look != Look::Holes) return data;
  TRY(const HostRange next, unpacked_->next_data(begin));
  if (next.empty()) return Extent{want, Zeroes{}};
  if (next.begin > begin) return Extent{want.first(next.begin - begin), Zeroes{}};
  return Extent{want.first(next.length), data.source};
}

std::optional<ByteCount> UnpackedImage::known_data_bytes() { return unpacking_ ? std::optional(size_) : std::nullopt; }

std::optional<std::string> UnpackedImage::being_unpacked_to() const {
  return unpacking_ ? std::optional(files_->where()) : std::nullopt;
}

Counters UnpackedImage::counters() const {
  return {{"unpacked-bytes", (unpacking_ ? unpacking_->done() : size_).value()}};
}

}  // namespace flatimg::seekable_zstd
