// The passphrase of encrypted images: from a key file, or asked for on the terminal.
//
// A key file's bytes are the passphrase as they are (host/key_file.h). What is typed ends with the line, which is not
// part of it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/secret.h"
#include "catalog/open.h"
#include "fuse/serve.h"

namespace flatimg::tools {

/// Asks on the terminal, without showing what is typed. Denied, with the way out, when standard input is no terminal or
/// the question was not answered. A signal that ends programs does so with the terminal as it was before.
Result<Secret> ask_passphrase(const std::string& question);

/// What is needed to open something: nullptr when nothing of it is encrypted and no key file is given. Without a key
/// file `find_encrypted` is asked for the image that needs a passphrase.
using FindEncrypted = std::function<std::optional<std::string>()>;
Result<std::shared_ptr<const Secret>> passphrase_for(const FindEncrypted& find_encrypted, const std::string& key_file);
Result<std::shared_ptr<const Secret>> passphrase_for(const catalog::OpenRequest& request, const std::string& key_file);

/// Opens an image with the passphrase that it needs, which is forgotten afterwards.
Result<catalog::Opened> open_with_passphrase(catalog::OpenRequest request, const std::string& key_file);

/// Gives a mount the passphrase that it needs: now, while this is still the user's own process, in his folder and with
/// his terminal.
Result<void> add_passphrase(flat::MountRequest& request);

/// The passphrase for a new image: asked for twice.
Result<std::shared_ptr<const Secret>> new_passphrase(const std::string& image, const std::string& key_file);

}  // namespace flatimg::tools
