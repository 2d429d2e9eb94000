#include "catalog/write_image.h"

#include <functional>
#include <map>

#include "android_sparse/sparse_writer.h"
#include "base/text.h"
#include "catalog/create_options.h"
#include "seekable_zstd/zstd_writer.h"

namespace flatimg::catalog {

namespace {

/// What a value of an option sets; BadUsage for one that it does not take.
using Setter = std::function<Result<void>(const std::string& name, const std::string& value)>;
using Words = std::map<std::string, Setter>;

Setter size_into(std::function<void(ByteCount)> set) {
  return [set = std::move(set)](const std::string& name, const std::string& value) -> Result<void> {
    const auto size = parse_size(value);
    if (!size) {
      return fail(ErrorKind::BadUsage, "Parameter '{}' expects a number, perhaps with one of the suffixes K M G", name);
    }
    set(*size);
    return {};
  };
}

Setter on_off_into(bool& flag) {
  return [&flag](const std::string& name, const std::string& value) -> Result<void> {
    if (value != "on" && value != "off") return fail(ErrorKind::BadUsage, "Parameter '{}' expects 'on' or 'off'", name);
    flag = value == "on";
    return {};
  };
}

Result<void> read_options(const CreateRequest& request, const Words& words) {
  for (const auto& [name, value] : request.options) {
    const auto word = words.find(name);
    if (word == words.end()) return fail(ErrorKind::BadUsage, "Invalid parameter '{}'", shown(name));
    CHECK(word->second(name, value));
  }
  return {};
}

Result<BegunImage> begin_sparse(const CreateRequest& request, ByteCount size) {
  android_sparse::WriteOptions options;
  CHECK(read_options(request, {{"block_size", size_into([&](ByteCount bytes) { options.block = bytes; })},
                               {"crc", on_off_into(options.checksum)}}));
  CHECK(android_sparse::SparseWriter::check(size, options));
  TRY(NewFile file, NewFile::at(request.path));
  TRY(auto writer, android_sparse::SparseWriter::begin(file.file(), size, options));
  BegunImage begun{std::move(file), std::move(writer), {}};
  if (const ByteCount whole = align_up(size, options.block); whole != size) {
    begun.notes.push_back(
        fmt::format("the disk ends within a block: {} zeroes follow, as a sparse image has whole "
                    "blocks only",
                    (whole - size).value()));
  }
  return begun;
}

Result<BegunImage> begin_zstd(const CreateRequest& request, ByteCount size) {
  seekable_zstd::WriteOptions options;
  const auto set_level = [&](ByteCount level) {
    options.form.level = static_cast<int>(std::min<std::uint64_t>(level.value(), 1000));
  };
  CHECK(read_options(request, {{"frame_size", size_into([&](ByteCount bytes) { options.frame = bytes; })},
                               {"compression_level", size_into(set_level)},
                               {"checksum", on_off_into(options.form.checksum)}}));
  CHECK(seekable_zstd::ZstdWriter::check(size, options));
  TRY(NewFile file, NewFile::at(request.path));
  TRY(auto writer, seekable_zstd::ZstdWriter::begin(file.file(), size, options));
  return BegunImage{std::move(file), std::move(writer), {}};
}

}  // namespace

bool is_written_once(std::string_view format) { return format == "sparse" || format == "zstd"; }

Result<BegunImage> begin_image(const CreateRequest& request) {
  const ByteCount size = request.size.value_or(ByteCount(0));
  return request.format == "sparse" ? begin_sparse(request, size) : begin_zstd(request, size);
}

}  // namespace flatimg::catalog
