// Which format a file has, by its first bytes. Names and suffixes say nothing.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/host_file.h"

namespace flatimg::catalog {

/// The format of a file by its first bytes; "raw" when nothing matches (tiny, empty and foreign files too).
Result<std::string> probe(HostFile& file);

/// The same for bytes at hand: at least the first 16, or the whole file when it is smaller.
[[nodiscard]] std::string format_of(std::span<const std::byte> first_bytes);

/// The name of a format of disk images that is not read here ("VMDK"), where the first bytes are such an image; at
/// least the first 128 bytes of the file, or all of them. Such files name others, too: nothing may become one
/// unnoticed.
[[nodiscard]] std::optional<std::string_view> foreign_format_of(std::span<const std::byte> first_bytes);

/// The same of a file, and nothing else: nullopt for all that is read here.
Result<std::optional<std::string_view>> probe_foreign(HostFile& file);

/// Whether there is a way to write images of this format in place. Their files are opened for reading only otherwise.
[[nodiscard]] bool is_written_in_place(const std::string& format);

/// BadUsage for a word that is no format; `path` is for the message.
Result<void> must_be_a_format(const std::string& word, const std::string& path);

/// The words that -f takes, for messages and completion.
[[nodiscard]] const std::vector<std::string>& format_names();

}  // namespace flatimg::catalog
