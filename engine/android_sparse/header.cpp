#include "android_sparse/header.h"

#include <array>

#include "base/endian.h"
#include "base/limits.h"
#include "host/host_file.h"

namespace flatimg::android_sparse {

namespace {

Result<void> judge(const Header& header, const std::string& name) {
  const auto invalid = [&]<class... Args>(fmt::format_string<Args...> why, Args&&... args) {
    return fail(ErrorKind::InvalidImage, "{}: {}", name, fmt::format(why, std::forward<Args>(args)...));
  };
  if (header.header_length < kHeaderLength) {
    return invalid("a sparse header of {} bytes is impossible: it has at least {}", header.header_length,
                   kHeaderLength);
  }
  if (header.chunk_header_length < kChunkHeaderLength) {
    return invalid("chunk headers of {} bytes are impossible: they have at least {}", header.chunk_header_length,
                   kChunkHeaderLength);
  }
  if (header.block_bytes == 0 || header.block_bytes % 4 != 0) {
    return invalid("a block size of {} bytes is impossible: it is a multiple of 4", header.block_bytes);
  }
  if (header.size() > limits::kDisk) {
    return invalid("{} blocks of {} bytes are more than a disk can have", header.blocks, header.block_bytes);
  }
  return {};
}

}  // namespace

Result<Header> read_header(HostFile& file) {
  TRY(const ByteCount size, file.size());
  std::array<std::byte, 512> sector{};  // one aligned read, which O_DIRECT devices take as well
  CHECK(file.read(HostOffset(), sector));
  const std::span<const std::byte> area = sector;
  if (load_le<std::uint32_t>(area, 0) != kMagic) {
    return fail(ErrorKind::InvalidImage, "{}: is not an Android sparse image", file.name());
  }
  if (size.value() < kHeaderLength) {
    return fail(ErrorKind::InvalidImage, "{}: the file ends within its sparse header", file.name());
  }
  if (const auto major = load_le<std::uint16_t>(area, 4); major != 1) {
    return fail(ErrorKind::Unsupported, "{}: version {} of the sparse format is unknown", file.name(), major);
  }
  Header header;
  header.minor_version = load_le<std::uint16_t>(area, 6);
  header.header_length = load_le<std::uint16_t>(area, 8);
  header.chunk_header_length = load_le<std::uint16_t>(area, 10);
  header.block_bytes = load_le<std::uint32_t>(area, 12);
  header.blocks = load_le<std::uint32_t>(area, 16);
  header.chunks = load_le<std::uint32_t>(area, 20);
  header.checksum = load_le<std::uint32_t>(area, 24);
  CHECK(judge(header, file.name()));
  return header;
}

}  // namespace flatimg::android_sparse
