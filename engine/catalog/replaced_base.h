// Whether the file behind an image is still the one that the image was made over.
#pragma once

#include <optional>
#include <string>

#include "host/gate.h"
#include "qcow2/backing_facts.h"

namespace flatimg::catalog {

/// What an image that gets this backing file records of it; nullopt when it cannot be looked at. `path` leads to it.
[[nodiscard]] std::optional<qcow2::BackingFacts> facts_of(const std::string& path);

/// What speaks against the backing file that `gate` finds for the image at `path`, in one sentence: it is not as the
/// image recorded it, or, where nothing is recorded, it was written later than the image. Opens nothing.
[[nodiscard]] std::optional<std::string> note_on_replaced_base(const Gate& gate, const std::string& path,
                                                               const qcow2::Header& header);
/// The same of an image that records nothing but a name.
[[nodiscard]] std::optional<std::string> note_on_later_base(const Gate& gate, const std::string& path,
                                                            const std::string& backing_name);

}  // namespace flatimg::catalog
