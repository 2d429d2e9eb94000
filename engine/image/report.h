// Plain data that images tell about themselves.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"

namespace flatimg {

using Counters = std::vector<std::pair<std::string, std::uint64_t>>;

}  // namespace flatimg
