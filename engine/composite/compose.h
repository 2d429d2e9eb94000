// Where parts lie on a new composite disk, and what stands between them.
//
// With a partition table, as crosvm's create_composite has it: 20480 bytes of tables, the parts at multiples of 4096,
// zeroes behind a read-only part that ends elsewhere, 20480 bytes of tables. Without one: the parts and nothing else.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "composite/gpt.h"
#include "composite/header.h"

namespace flatimg::composite {

/// A part of a disk that is to be made.
struct Ingredient {
  std::string label;
  std::string path;  // as it is to be recorded
  ByteCount size;    // of the disk that its image shows
  std::uint64_t capability = 0;
  std::optional<Guid> guid;  // of the partition; random otherwise
};

inline constexpr ByteCount kAlignment{4096};  // of partitions; also the length of the file of zeroes

/// Names of the files beside the disk, as they are to be recorded.
struct Beside {
  std::string beginning;
  std::string end;
  std::string filler;  // kAlignment zeroes
};

struct Composition {
  Header header;
  GptTables tables;  // what belongs into the files beside the disk
};

// Both: BadUsage, and Limit, for parts that make no disk.

Result<Composition> with_partition_table(std::span<const Ingredient> parts, const Beside& names);
Result<Header> without_partition_table(std::span<const Ingredient> parts);

}  // namespace flatimg::composite
