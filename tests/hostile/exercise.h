// Everything that is done with an image, for images that nobody trusts.
#pragma once

#include <string>

namespace flatimg::test {

/// Describes, checks and maps the file; reads its disk; writes, zeroes and punches a few places, and reads again.
/// Errors are what is expected. The file may be changed.
void exercise(const std::string& path, const std::string& format);

}  // namespace flatimg::test
