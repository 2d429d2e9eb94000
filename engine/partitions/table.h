// The partitions of a disk, by its partition table. README.md has the rules.
//
// Any thread. The answer is a snapshot: whoever writes the disk may change the table at any time.
#pragma once

#include <string>
#include <vector>

#include "view/disk.h"

namespace flatimg::partitions {

enum class Scheme { None, Mbr, Gpt };

/// The most that are told of one disk, as in Linux.
inline constexpr unsigned kMostPartitions = 255;

struct Partition {
  unsigned number = 0;  // as Linux counts: from 1; logical ones from 5
  GuestRange where;     // on the disk, never empty
  std::string type;     // "0x83", or the GUID of the type in lower case
  std::string guid;     // GPT: its own
  std::string label;    // GPT: its name as UTF-8, whatever is in it
};

struct Table {
  Scheme scheme = Scheme::None;
  ByteCount sector_size{512};
  std::vector<Partition> partitions;  // by rising number; they may overlap
  std::vector<std::string> notes;     // what people should know: the backup was taken, a partition was cut
};

/// Fails only when the disk cannot be read: a table that is damaged is one without partitions, and a note.
Result<Table> read_table(Disk& disk);

/// "mbr" or "gpt"; "none".
[[nodiscard]] std::string_view name_of(Scheme scheme);

}  // namespace flatimg::partitions
