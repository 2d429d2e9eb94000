#include "view/map_entries.h"

namespace flatimg {

namespace {

constexpr ByteCount kStep{std::uint64_t{1} << 40};  // how far one question looks ahead

bool continues(const MapEntry& first, const MapEntry& second) {
  if (first.depth != second.depth || first.present != second.present || first.zero != second.zero ||
      first.data != second.data || first.compressed != second.compressed ||
      first.offset.has_value() != second.offset.has_value()) {
    return false;
  }
  return !first.offset || *first.offset + first.where.length == *second.offset;
}

class MapWalk {
 public:
  MapWalk(Disk& disk, const std::vector<bool>& look_for_holes, const std::function<void(const MapEntry&)>& visit)
      : disk_(disk), look_for_holes_(look_for_holes), visit_(visit) {}

  Result<void> run() {
    GuestRange left{GuestOffset(), disk_.size()};
    while (!left.empty()) {
      TRY(const Disk::Resolved piece, disk_.resolve(left.first(kStep), Look::Holes));
      TRY(const MapEntry entry, entry_of(piece));
      add(entry);
      left = left.without_first(entry.where.length);
    }
    if (waiting_) visit_(*waiting_);
    return {};
  }

 private:
  void add(const MapEntry& entry) {
    if (waiting_ && continues(*waiting_, entry)) {
      waiting_->where.length += entry.where.length;
      return;
    }
    if (waiting_) visit_(*waiting_);
    waiting_ = entry;
  }

  static Result<MapEntry> entry_of_zeroes(const Disk::Resolved& piece, const Zeroes& zeroes);
  Result<MapEntry> entry_of_file(const Disk::Resolved& piece, const InFile& stored) const;
  Result<MapEntry> entry_of(const Disk::Resolved& piece) const;

  Disk& disk_;
  const std::vector<bool>& look_for_holes_;
  const std::function<void(const MapEntry&)>& visit_;
  std::optional<MapEntry> waiting_;
};

Result<MapEntry> MapWalk::entry_of_zeroes(const Disk::Resolved& piece, const Zeroes& zeroes) {
  MapEntry entry{.where = piece.extent.where, .depth = piece.depth, .zero = true};
  const bool behind_its_end = piece.at.value() >= piece.image->size().value();
  if (behind_its_end) {
    --entry.depth;  // the image in front of the one that is too short says so
  } else if (piece.image->traits().format == "raw") {
    entry.present = true;  // a hole
    entry.offset = HostOffset(piece.at.value());
  } else {
    entry.present = zeroes.recorded;
    if (zeroes.space_reserved && !piece.image->traits().enciphered) entry.offset = zeroes.at;
  }
  return entry;
}

Result<MapEntry> MapWalk::entry_of_file(const Disk::Resolved& piece, const InFile& stored) const {
  MapEntry entry{.where = piece.extent.where, .depth = piece.depth, .present = true, .data = true};
  if (stored.cipher) return entry;  // neither are the bytes there those of the disk, nor are its holes zeroes
  entry.offset = stored.at;
  if (piece.depth >= look_for_holes_.size() || !look_for_holes_[piece.depth]) return entry;
  TRY(const HostRange data, stored.file->next_data(stored.at));
  const HostRange here{stored.at, entry.where.length};
  const HostRange found = intersection(data, here);
  entry.zero = data.empty() || found.empty() || found.begin > stored.at;
  if (!entry.zero) {
    entry.where = entry.where.first(found.length);
  } else if (!found.empty()) {
    entry.where = entry.where.first(found.begin - stored.at);
  }
  return entry;
}

Result<MapEntry> MapWalk::entry_of(const Disk::Resolved& piece) const {
  if (const auto* zeroes = std::get_if<Zeroes>(&piece.extent.source)) return entry_of_zeroes(piece, *zeroes);
  if (const auto* stored = std::get_if<InFile>(&piece.extent.source)) return entry_of_file(piece, *stored);
  MapEntry entry{.where = piece.extent.where, .depth = piece.depth, .present = true, .data = true};
  entry.compressed = std::holds_alternative<Encoded>(piece.extent.source);
  return entry;
}

}  // namespace

Result<void> walk_map(Disk& disk, const std::vector<bool>& look_for_holes,
                      const std::function<void(const MapEntry&)>& visit) {
  return MapWalk(disk, look_for_holes, visit).run();
}

}  // namespace flatimg
