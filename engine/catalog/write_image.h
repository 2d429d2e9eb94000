// Begins new images of the formats that are written once and then only read.
#pragma once

#include "catalog/create_image.h"
#include "host/new_file.h"
#include "image/image_writer.h"

namespace flatimg::catalog {

/// Whether images of that format are made like this, and not by create_image().
[[nodiscard]] bool is_written_once(std::string_view format);

struct BegunImage {
  NewFile file;  // keep() it behind finish()
  std::unique_ptr<ImageWriter> writer;
  std::vector<std::string> notes;  // what people should know
};

/// Options: of sparse, block_size and crc; of zstd, frame_size, compression_level and checksum. Those that make no
/// sense are refused before anything is touched, and others when the disk does not fit them.
Result<BegunImage> begin_image(const CreateRequest& request);

}  // namespace flatimg::catalog
