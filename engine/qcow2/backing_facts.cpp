#include "qcow2/backing_facts.h"

#include <algorithm>

#include "base/endian.h"
#include "codec/xxh64.h"

namespace flatimg::qcow2 {

namespace {

std::uint64_t hash_of(std::string_view name) { return xxh64(std::as_bytes(std::span(name)), 0); }

}  // namespace

BackingFactsPayload encode_facts(const std::optional<BackingFacts>& facts, std::string_view name) {
  BackingFactsPayload payload{};
  if (!facts) return payload;
  store_be(std::span(payload), 0, facts->file_size.value());
  store_be(std::span(payload), 8, static_cast<std::uint64_t>(facts->written_at));
  store_be(std::span(payload), 16, hash_of(name));
  return payload;
}

std::optional<BackingFacts> recorded_facts(const Header& header) {
  const auto found = std::ranges::find(header.extensions, extension::kBackingFacts, &Extension::type);
  if (found == header.extensions.end() || found->payload.size() != sizeof(BackingFactsPayload)) return std::nullopt;
  const auto& payload = found->payload;
  if (!header.backing_name || load_be<std::uint64_t>(payload, 16) != hash_of(*header.backing_name)) return std::nullopt;
  return BackingFacts{ByteCount(load_be<std::uint64_t>(payload, 0)),
                      static_cast<std::int64_t>(load_be<std::uint64_t>(payload, 8))};
}

}  // namespace flatimg::qcow2
