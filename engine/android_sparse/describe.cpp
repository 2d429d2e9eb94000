#include "android_sparse/describe.h"

#include "android_sparse/chunks.h"

namespace flatimg::android_sparse {

namespace {

struct ChunkCounts {
  std::uint64_t raw = 0;
  std::uint64_t fill = 0;
  std::uint64_t dont_care = 0;
  std::uint64_t crc32 = 0;

  void add(ChunkKind kind) {
    raw += kind == ChunkKind::Raw;
    fill += kind == ChunkKind::Fill;
    dont_care += kind == ChunkKind::DontCare;
    crc32 += kind == ChunkKind::Crc32;
  }
};

InfoField number(std::string name, std::uint64_t value) { return {std::move(name), InfoValue{value}}; }

InfoList oddities_in_words(const Header& header, const Oddities& met) {
  InfoList list;
  const auto add = [&](std::string sentence) { list.push_back({std::move(sentence)}); };
  if (header.minor_version != 0) add(fmt::format("minor version {}", header.minor_version));
  if (header.header_length != kHeaderLength) add(fmt::format("header of {} bytes", header.header_length));
  if (header.chunk_header_length != kChunkHeaderLength) {
    add(fmt::format("chunk headers of {} bytes", header.chunk_header_length));
  }
  if (header.blocks == 0) add("the disk is empty");
  if (met.reserved_fields != 0) add(fmt::format("reserved field not 0 in {} chunks", met.reserved_fields));
  if (met.empty_chunks != 0) add(fmt::format("{} chunks without blocks", met.empty_chunks));
  if (met.crc_blocks != 0) add(fmt::format("{} CRC32 chunks that claim blocks", met.crc_blocks));
  if (!met.trailing.is_zero()) add(fmt::format("{} bytes behind the last chunk", met.trailing.value()));
  return list;
}

InfoValue chunk_info(const ChunkCounts& counts) {
  return {InfoFields{number("raw", counts.raw), number("fill", counts.fill), number("dont-care", counts.dont_care),
                     number("crc32", counts.crc32)}};
}

}  // namespace

Result<ImageInfo> describe(HostFile& file, const Header& header) {
  ImageInfo info;
  info.format = "sparse";
  info.virtual_size = header.size();
  TRY(info.actual_size, file.allocated());
  info.cluster_size = header.block();
  TRY(ChunkReader reader, ChunkReader::of(file, header));
  ChunkCounts counts;
  for (;;) {
    TRY(const std::optional<Chunk> chunk, reader.next());
    if (!chunk) break;
    counts.add(chunk->kind);
  }
  info.details.push_back({"chunks", chunk_info(counts)});
  if (header.checksum != 0) info.details.push_back({"checksum", {fmt::format("{:#010x}", header.checksum)}});
  InfoList odd = oddities_in_words(header, reader.oddities());
  if (!odd.empty()) info.details.push_back({"oddities", {std::move(odd)}});
  return info;
}

}  // namespace flatimg::android_sparse
