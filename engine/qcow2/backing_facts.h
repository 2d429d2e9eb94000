// What the backing file was like when an image got it, recorded in a header extension of our own:
//
//   0  u64  length of the file in bytes
//   8  i64  when it was last written, in seconds since 1970
//   16 u64  XXH64 of its name, as recorded in the header
//
// It warns people and decides nothing. QEMU keeps it when it records another backing file: the name tells.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "qcow2/header.h"

namespace flatimg::qcow2 {

struct BackingFacts {
  ByteCount file_size;
  std::int64_t written_at = 0;

  bool operator==(const BackingFacts&) const = default;
};

using BackingFactsPayload = std::array<std::byte, 24>;

/// The extension's bytes for a backing file recorded by this name; nullopt makes bytes that speak of no file.
[[nodiscard]] BackingFactsPayload encode_facts(const std::optional<BackingFacts>& facts, std::string_view name);

/// What the header records of the backing file that it names.
[[nodiscard]] std::optional<BackingFacts> recorded_facts(const Header& header);

}  // namespace flatimg::qcow2
