#include "qcow2/set_backing.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/endian.h"
#include "base/limits.h"
#include "qcow2/header.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kSector = 512;
constexpr std::size_t kHead = 8;  // type and length of an extension; the end marker is nothing else
constexpr std::size_t kNameField = 8;
constexpr std::size_t kNameFieldEnd = 20;  // offset u64, length u32

constexpr std::size_t padded(std::size_t length) { return (length + 7) / 8 * 8; }
constexpr bool in_one_sector(std::size_t begin, std::size_t end) { return begin / kSector == (end - 1) / kSector; }

/// What the first cluster is to become, in steps: each is written and on stable storage before the next.
class Rewrite {
 public:
  explicit Rewrite(Bytes cluster) : cluster_(std::move(cluster)) {}

  void put(std::size_t at, std::string_view text) { std::memcpy(cluster_.data() + at, text.data(), text.size()); }
  template <std::unsigned_integral T>
  void put(std::size_t at, T value) {
    store_be(std::span(cluster_), at, value);
  }
  /// The bytes from `begin` to `end`, as they are now, are the next step.
  void step(std::size_t begin, std::size_t end) {
    const auto first = cluster_.begin() + static_cast<std::ptrdiff_t>(begin);
    steps_.push_back({begin, Bytes(first, first + static_cast<std::ptrdiff_t>(end - begin))});
  }
  Result<void> run(HostFile& file) const {
    for (const Step& next : steps_) {
      CHECK(file.write(HostOffset(next.at), std::span<const std::byte>(next.bytes)));
      CHECK(file.barrier());
    }
    return {};
  }
  [[nodiscard]] const Bytes& cluster() const { return cluster_; }
  [[nodiscard]] std::size_t size() const { return cluster_.size(); }

 private:
  struct Step {
    std::size_t at;
    Bytes bytes;
  };
  Bytes cluster_;
  std::vector<Step> steps_;
};

/// Where things are in the first cluster.
struct Places {
  std::size_t end_marker = 0;          // behind the last extension
  bool marked = false;                 // there is a marker, not just the end of the area
  unsigned formats = 0;                // how many extensions say what format the backing file has
  std::size_t format = 0;              // the last of them; 0: there is none
  std::size_t format_length = 0;       // of its payload
  std::size_t facts = 0;               // the extension of kBackingFacts; 0: there is none
  std::size_t name = 0, name_end = 0;  // the old backing name; 0: there is none
};

constexpr std::size_t kFactsLength = kHead + sizeof(BackingFactsPayload);

constexpr bool says_the_format(std::uint32_t type) {
  return type == extension::kBackingFormat || type == extension::kOwnBackingFormat;
}

// The header has been parsed, so the list is sound.
Places find_places(const Bytes& cluster, const Header& header) {
  Places places;
  places.name = load_be<std::uint64_t>(cluster, kNameField);
  places.name_end = places.name + load_be<std::uint32_t>(cluster, kNameField + 8);
  const std::size_t area_end = places.name != 0 ? places.name : cluster.size();
  std::size_t at = header.header_length;
  while (at + kHead <= area_end) {
    const auto type = load_be<std::uint32_t>(cluster, at);
    const std::size_t length = load_be<std::uint32_t>(cluster, at + 4);
    if (type == extension::kEnd) {
      places.marked = true;
      break;
    }
    if (says_the_format(type)) {
      ++places.formats;
      places.format = at;
      places.format_length = length;
    }
    if (type == extension::kBackingFacts && length == sizeof(BackingFactsPayload)) places.facts = at;
    at += kHead + padded(length);
  }
  places.end_marker = at;
  return places;
}

void put_extension(Rewrite& rewrite, std::size_t at, std::uint32_t type, std::string_view payload) {
  rewrite.put(at, type);
  rewrite.put(at + 4, static_cast<std::uint32_t>(payload.size()));
  rewrite.put(at + kHead, std::string(padded(payload.size()), '\0'));
  rewrite.put(at + kHead, payload);
}

void put_format(Rewrite& rewrite, std::size_t at, std::string_view format) {
  put_extension(rewrite, at, extension::of_backing_format(format), format);
}

// The extension becomes the last one, where the end marker was.
void append_extension(Rewrite& rewrite, std::size_t at, std::uint32_t type, std::string_view payload) {
  const std::size_t end = at + kHead + padded(payload.size()) + kHead;
  put_extension(rewrite, at, type, payload);
  rewrite.put(end - kHead, std::string(kHead, '\0'));
  if (!in_one_sector(at, end)) {  // the part that nothing leads to yet comes first
    const std::size_t border = (at / kSector + 1) * kSector;
    rewrite.step(border, end);
    rewrite.step(at, border);
    return;
  }
  rewrite.step(at, end);
}

void put_name_field(Rewrite& rewrite, std::size_t at, std::size_t length) {
  rewrite.put(kNameField, std::uint64_t{at});
  rewrite.put(kNameField + 8, static_cast<std::uint32_t>(length));
}

// A place for the new name that overlaps nothing: in front of the old one, or behind it.
std::optional<std::size_t> place_for_name(const Places& places, std::size_t first, std::size_t length,
                                          std::size_t cluster) {
  const std::size_t front = padded(first);
  if (places.name == 0 || front + length <= places.name) {
    return front + length <= cluster ? std::optional(front) : std::nullopt;
  }
  const std::size_t behind = std::max(front, padded(places.name_end));
  return behind + length <= cluster ? std::optional(behind) : std::nullopt;
}

// --- the three ways -------------------------------------------------------------------------------------------------

// The format's record is there and has room for the new one.
bool replace_in_place(Rewrite& rewrite, const Places& places, const BackingRecord& backing, std::size_t to_spare) {
  if (places.formats != 1 || padded(places.format_length) != padded(backing.format.size())) return false;
  const std::size_t first = places.end_marker + kHead + to_spare;
  const auto name_at = place_for_name(places, first, backing.name.size(), rewrite.size());
  if (!name_at) return false;
  rewrite.put(*name_at, backing.name);
  rewrite.step(*name_at, *name_at + backing.name.size());
  put_name_field(rewrite, *name_at, backing.name.size());
  const std::size_t format_end = places.format + kHead + padded(backing.format.size());
  if (in_one_sector(kNameField, format_end)) {
    put_format(rewrite, places.format, backing.format);
    rewrite.step(kNameField, format_end);
    return true;
  }
  rewrite.step(kNameField, kNameFieldEnd);
  put_format(rewrite, places.format, backing.format);
  rewrite.step(places.format, format_end);
  return true;
}

// The format's record becomes the last one, where the end marker was.
bool append_format(Rewrite& rewrite, const Places& places, const BackingRecord& backing, std::size_t to_spare) {
  const std::size_t format_end = places.end_marker + kHead + padded(backing.format.size()) + kHead;
  if (places.formats != 0) return false;
  const auto name_at = place_for_name(places, format_end + to_spare, backing.name.size(), rewrite.size());
  if (!name_at) return false;
  rewrite.put(*name_at, backing.name);
  rewrite.step(*name_at, *name_at + backing.name.size());
  put_name_field(rewrite, *name_at, backing.name.size());
  rewrite.step(kNameField, kNameFieldEnd);
  append_extension(rewrite, places.end_marker, extension::of_backing_format(backing.format), backing.format);
  return true;
}

// The old fields stay where they are, with room for facts if there is any.
bool change_in_place(Rewrite& rewrite, const Places& places, const BackingRecord& backing) {
  const bool wants_room = backing.facts && places.facts == 0;
  for (const std::size_t to_spare : {wants_room ? kFactsLength : 0, std::size_t{0}}) {
    if (replace_in_place(rewrite, places, backing, to_spare)) return true;
    if (append_format(rewrite, places, backing, to_spare)) return true;
  }
  return false;
}

// Facts come last: until then those that are there speak of another name, or of nothing.
void put_facts(Rewrite& rewrite, const Header& header, const BackingRecord& backing) {
  const Places places = find_places(rewrite.cluster(), header);
  const BackingFactsPayload payload = encode_facts(backing.facts, backing.name);
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  if (places.facts != 0) {
    rewrite.put(places.facts + kHead, text);
    return rewrite.step(places.facts + kHead, places.facts + kFactsLength);
  }
  if (!backing.facts || places.end_marker + kFactsLength + kHead > places.name) return;
  append_extension(rewrite, places.end_marker, extension::kBackingFacts, text);
}

// Everything behind the fixed fields is laid out anew: other lengths, or hardly any room.
Result<Rewrite> lay_out_anew(const Bytes& cluster, const Header& header, const std::optional<BackingRecord>& backing) {
  Bytes fresh(cluster.begin(), cluster.begin() + header.header_length);
  const auto append = [&](std::uint32_t type, std::span<const std::byte> payload) {
    const std::size_t at = fresh.size();
    fresh.resize(at + kHead + padded(payload.size()));
    store_be(std::span(fresh), at, type);
    store_be(std::span(fresh), at + 4, static_cast<std::uint32_t>(payload.size()));
    std::copy(payload.begin(), payload.end(), fresh.begin() + static_cast<std::ptrdiff_t>(at + kHead));
  };
  if (backing) append(extension::of_backing_format(backing->format), std::as_bytes(std::span(backing->format)));
  if (backing && backing->facts) append(extension::kBackingFacts, encode_facts(backing->facts, backing->name));
  for (const Extension& kept : header.extensions) {
    if (!says_the_format(kept.type) && kept.type != extension::kBackingFacts) append(kept.type, kept.payload);
  }
  append(extension::kEnd, {});
  const std::size_t name_at = fresh.size();
  const std::string name = backing ? backing->name : "";
  fresh.resize(std::max(name_at + name.size(), std::min(cluster.size(), kSector)));
  if (fresh.size() > cluster.size()) {
    return fail(ErrorKind::NoSpace, "the first cluster has no room for the name of the backing file");
  }
  Rewrite rewrite(std::move(fresh));
  if (!name.empty()) rewrite.put(name_at, name);
  put_name_field(rewrite, name.empty() ? 0 : name_at, name.size());
  rewrite.step(0, rewrite.size());
  return rewrite;
}

Result<Rewrite> planned(Bytes cluster, const Header& header, const std::optional<BackingRecord>& backing) {
  const Places places = find_places(cluster, header);
  Rewrite rewrite(cluster);
  if (places.marked && !backing) {
    put_name_field(rewrite, 0, 0);
    rewrite.step(kNameField, kNameFieldEnd);
    return rewrite;
  }
  if (places.marked && change_in_place(rewrite, places, *backing)) {
    put_facts(rewrite, header, *backing);
    return rewrite;
  }
  auto anew = lay_out_anew(cluster, header, backing);
  if (anew || !backing || !backing->facts) return anew;
  return lay_out_anew(cluster, header, BackingRecord{backing->name, backing->format});
}

}  // namespace

Result<void> set_backing(HostFile& file, const std::optional<BackingRecord>& backing) {
  if (backing && (backing->name.empty() || backing->name.size() > limits::kQcow2BackingName)) {
    return fail(ErrorKind::BadUsage, "{}: the name of a backing file has 1 to {} bytes", file.name(),
                limits::kQcow2BackingName);
  }
  TRY(const Header header, read_header(file));
  if (backing && header.raw_data_file()) {
    return fail(ErrorKind::BadUsage, "{}: a raw data file and a backing file exclude each other", file.name());
  }
  Bytes cluster(header.cluster().value());
  CHECK(file.read(HostOffset(0), cluster));
  auto rewrite = planned(std::move(cluster), header, backing);
  if (!rewrite) return Failure(std::move(rewrite.error()).within(file.name()));
  return rewrite->run(file);
}

}  // namespace flatimg::qcow2
