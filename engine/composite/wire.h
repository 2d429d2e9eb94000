// The message of a composite disk in protobuf's encoding, without judging what it says (private to the room).
//
// As crosvm's cdisk_spec.proto has it. Fields that are not known are skipped, the last one of a single field counts,
// and what is absent is zero: all as protobuf says. Anything that is not whole is InvalidImage.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace flatimg::composite::wire {

struct Component {
  std::string file_path;
  std::uint64_t offset = 0;
  std::uint64_t capability = 0;
  std::uint64_t file_offset = 0;
};

struct Message {
  std::uint64_t version = 0;
  std::vector<Component> components;
  std::uint64_t length = 0;
};

/// Limit for more than limits::kCompositeParts components.
Result<Message> decode(std::span<const std::byte> bytes);

[[nodiscard]] std::string encode(const Message& message);

}  // namespace flatimg::composite::wire
