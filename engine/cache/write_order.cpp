#include "cache/write_order.h"

#include <algorithm>

namespace flatimg {

void WriteOrder::add(Step step, HostOffset at, std::span<const std::byte> bytes) {
  steps_[static_cast<std::size_t>(step)].push_back({at, bytes_.size(), bytes.size()});
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

Result<unsigned> WriteOrder::write_step(HostFile& tables, Step step) {
  auto& writes = steps_[static_cast<std::size_t>(step)];
  std::sort(writes.begin(), writes.end(), [](const Write& a, const Write& b) { return a.at < b.at; });
  unsigned calls = 0;
  std::vector<std::span<const std::byte>> parts;
  for (std::size_t first = 0; first < writes.size();) {
    parts.clear();
    HostOffset end = writes[first].at;
    std::size_t next = first;
    for (; next < writes.size() && writes[next].at == end; ++next) {
      parts.emplace_back(bytes_.data() + writes[next].begin, writes[next].length);
      end += ByteCount(writes[next].length);
    }
    CHECK(tables.write(writes[first].at, parts));
    ++calls;
    first = next;
  }
  return calls;
}

Result<WriteOrder::Done> WriteOrder::run(HostFile& tables, HostFile* data) {
  Done done;
  bool unfenced = fenced_;
  const auto barrier = [&]() -> Result<void> {
    if (data != nullptr) CHECK(data->barrier());
    CHECK(tables.barrier());
    done.barriers += data != nullptr ? 2 : 1;
    unfenced = false;
    return {};
  };
  for (const Step step : {Step::Prepare, Step::Point, Step::Mention}) {
    if (!has(step)) continue;
    if (unfenced && step != Step::Prepare) CHECK(barrier());
    TRY(const unsigned writes, write_step(tables, step));
    done.writes += writes;
    unfenced = true;
  }
  CHECK(barrier());
  return done;
}

}  // namespace flatimg
