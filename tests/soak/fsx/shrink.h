// From a list that fails to a short one that still does.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace flatimg::test::fsx {

/// Leaves out ever smaller pieces for as long as what remains fails. Asks `fails` at most `tries` times.
template <class Item, class Fails>
[[nodiscard]] std::vector<Item> shrunk(std::vector<Item> items, const Fails& fails, unsigned tries) {
  for (std::size_t piece = std::max<std::size_t>(items.size() / 2, 1); tries > 0;
       piece = std::max<std::size_t>(piece / 2, 1)) {
    bool shorter = false;
    for (std::size_t at = 0; at < items.size() && tries > 0; --tries) {
      std::vector<Item> rest(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(at));
      rest.insert(rest.end(), items.begin() + static_cast<std::ptrdiff_t>(std::min(at + piece, items.size())),
                  items.end());
      if (fails(rest)) {
        items = std::move(rest);
        shorter = true;
      } else {
        at += piece;
      }
    }
    if (piece == 1 && !shorter) break;
  }
  return items;
}

}  // namespace flatimg::test::fsx
