// Listings of folders of .flatimg/, whichever mount shows them.
#pragma once

#include <span>

#include "fuse/image_folder.h"
#include "fuse/libfuse.h"

namespace flatimg::flat {

enum class Listing { Names, WithAttributes };

/// The items from number `from` on, as many as there is room for. Names only, also where attributes were asked for.
void reply_items(fuse_req_t request, std::span<const FolderItem> items, std::size_t room, off_t from, Listing form);

}  // namespace flatimg::flat
