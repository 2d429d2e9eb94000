#include "catalog/split_pieces.h"

namespace flatimg::catalog {

std::optional<std::string> piece_name(const std::string& path, unsigned number) {
  const std::string name = path.substr(path.rfind('/') + 1);
  if (!name.ends_with("_sparsechunk0") && !name.ends_with("_sparsechunk.0")) return std::nullopt;
  return name.substr(0, name.size() - 1) + std::to_string(number);
}

}  // namespace flatimg::catalog
