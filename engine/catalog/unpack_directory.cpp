#include "catalog/unpack_directory.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "codec/xxh64.h"

namespace flatimg::catalog {

namespace {

constexpr ByteCount kReadWhole = 64_MiB;  // up to here all of a file is looked at
constexpr std::uint64_t kSamples = 1024;
constexpr ByteCount kSample = 16_KiB;

// A number that differs when the contents differ, as far as they are looked at: the beginning, the end, and samples.
Result<std::uint64_t> fingerprint(HostFile& file) {
  TRY(const ByteCount size, file.size());
  const bool whole = size <= kReadWhole;
  const ByteCount piece = whole ? kReadWhole : kSample;
  const ByteCount step = whole ? kReadWhole : ByteCount((size - kSample).value() / (kSamples - 1));
  AlignedBuffer memory;
  std::uint64_t sum = size.value();
  for (ByteCount at; at < size; at += step) {
    const auto bytes = memory.at_least(std::min(piece, size - at).value());
    CHECK(file.read(HostOffset(at.value()), bytes));
    sum = xxh64(bytes, sum);
  }
  return sum;
}

Result<std::string> name_for(HostFile& packed) {
  TRY(const std::string stamp, CacheDirectory::stamp_of(packed));
  TRY(const std::uint64_t contents, fingerprint(packed));
  return fmt::format("{}-{:016x}.raw", stamp, contents);
}

}  // namespace

UnpackDirectory::UnpackDirectory(std::string path, ByteCount most, AfterUse after_use)
    : path_(path.empty() ? CacheDirectory::usual_path() : std::move(path)), most_(most), after_use_(after_use) {}

Result<std::unique_ptr<HostFile>> UnpackDirectory::find(HostFile& packed) {
  if (!CacheDirectory::is_there(path_)) return std::unique_ptr<HostFile>();
  TRY(CacheDirectory directory, CacheDirectory::at(path_, most_));
  TRY(const std::string name, name_for(packed));
  return directory.find(name);
}

Result<std::unique_ptr<HostFile>> UnpackDirectory::begin(HostFile& /*packed*/) {
  TRY(CacheDirectory directory, CacheDirectory::at(path_, most_));
  return directory.begin();
}

Result<void> UnpackDirectory::keep(HostFile& packed, HostFile& unpacked) {
  if (after_use_ == AfterUse::Forget) return {};
  TRY(CacheDirectory directory, CacheDirectory::at(path_, most_));
  TRY(const std::string name, name_for(packed));
  return directory.keep(unpacked, name);
}

}  // namespace flatimg::catalog
