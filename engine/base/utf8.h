// Whether text is UTF-8.
#pragma once

#include <string_view>

namespace flatimg {

/// Well-formed: nothing overlong, no surrogates, nothing cut off.
[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace flatimg
