// The words `encrypt.*` of `create -o` and what they mean.
#pragma once

#include <optional>

#include "catalog/create_image.h"
#include "qcow2/create.h"

namespace flatimg::catalog {

/// Whether `create -o` word speaks of encryption: encryption=, encrypt.*.
[[nodiscard]] bool is_encrypt_word(std::string_view name);

/// Whether the request asks for an encrypted image, which needs a passphrase.
[[nodiscard]] bool makes_encrypted(const CreateRequest& request);

/// How the new image is to be encrypted, or nullopt. BadUsage for a word or value that is none, and for words that do
/// not go together.
Result<std::optional<qcow2::EncryptionOptions>> encryption_options(const CreateRequest& request);

}  // namespace flatimg::catalog
