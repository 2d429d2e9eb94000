// The words of `create -o` and what they mean.
#pragma once

#include "catalog/create_image.h"
#include "qcow1/create.h"
#include "qcow2/create.h"

namespace flatimg::catalog {

/// BadUsage for a name or a value that is not one. Backing file, its format and the size come from the options only
/// where the request does not have them already.
Result<qcow2::CreateOptions> qcow2_options(const CreateRequest& request);

/// The same for raw: only preallocation has a meaning.
Result<qcow2::CreateOptions> raw_options(const CreateRequest& request);

struct Qcow1Options {
  qcow2::CreateOptions common;  // size, backing file and its format, encryption
  qcow1::Xen xen = qcow1::Xen::No;
};
/// The same for qcow, which takes size, backing file, encryption with AES, and xen=off|sparse|preallocated.
Result<Qcow1Options> qcow1_options(const CreateRequest& request);

/// A number of bytes with one of the suffixes K M G T P E (powers of 1024), or nullopt.
[[nodiscard]] std::optional<ByteCount> parse_size(std::string_view text);

}  // namespace flatimg::catalog
