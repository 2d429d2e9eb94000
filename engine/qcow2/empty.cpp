// Qcow2Image: an overlay that holds nothing any more, behind a commit.
//
// L1 entries become 0; what their tables mentioned is released behind the flush that removes the mention (O3). A crash
// leaves some of them, and those show what the image below shows as well.
#include <algorithm>

#include "qcow2/qcow2_image.h"

namespace flatimg::qcow2 {

Result<void> Qcow2Image::drop_all_tables() {
  CHECK(file_->sound());
  CHECK(begin_writing());
  CHECK(flusher_.flush());  // no table that goes has edits left to write
  const std::uint64_t entries = std::min<std::uint64_t>(l1_.size(), layout_.l1_entries_for(size()));
  for (std::uint64_t index = 0; index < entries; ++index) {
    CHECK(throttle());
    CHECK(drop_table(index));
  }
  return {};
}

}  // namespace flatimg::qcow2
