#include "catalog/encrypt_options.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/text.h"

namespace flatimg::catalog {

namespace {

using qcow2::EncryptionOptions;
using Setter = Result<void> (*)(EncryptionOptions&, std::string_view value);

Failure not_accepted(std::string_view value) {
  return fail(ErrorKind::BadUsage, "does not accept value '{}'", shown(value));
}

Result<void> set_cipher(EncryptionOptions& options, std::string_view value) {
  const auto algorithm = crypto::algorithm_named(value);
  if (!algorithm) return not_accepted(value);
  options.algorithms.cipher.family = algorithm->family;
  options.algorithms.cipher.key_bits = algorithm->key_bits;
  return {};
}

template <class Target, class Value>
Result<void> store(Target& target, const std::optional<Value>& value, std::string_view word) {
  if (!value) return not_accepted(word);
  target = *value;
  return {};
}

Result<void> set_iteration_time(EncryptionOptions& options, std::string_view value) {
  constexpr unsigned kDay = 24 * 60 * 60 * 1000;
  unsigned milliseconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), milliseconds);
  if (error != std::errc{} || end != value.data() + value.size() || milliseconds == 0 || milliseconds > kDay) {
    return fail(ErrorKind::BadUsage, "expects a number of milliseconds");
  }
  options.iteration_time = std::chrono::milliseconds(milliseconds);
  return {};
}

const std::map<std::string_view, Setter>& luks_words() {
  static const std::map<std::string_view, Setter> words{
      {"encrypt.cipher-alg", set_cipher},
      {"encrypt.cipher-mode",
       [](auto& to, auto value) { return store(to.algorithms.cipher.mode, crypto::mode_named(value), value); }},
      {"encrypt.ivgen-alg",
       [](auto& to, auto value) {
         return store(to.algorithms.cipher.generator, crypto::generator_named(value), value);
       }},
      {"encrypt.ivgen-hash-alg",
       [](auto& to, auto value) {
         return store(to.algorithms.cipher.generator_hash, crypto::hash_named(value), value);
       }},
      {"encrypt.hash-alg",
       [](auto& to, auto value) { return store(to.algorithms.hash, crypto::hash_named(value), value); }},
      {"encrypt.iter-time", set_iteration_time},
  };
  return words;
}

Result<std::optional<EncryptionOptions::Method>> method_of(const CreateRequest& request) {
  std::optional<EncryptionOptions::Method> method;
  for (const auto& [name, value] : request.options) {
    const bool format = name == "encrypt.format";
    if (!format && name != "encryption") continue;
    if (method) return fail(ErrorKind::BadUsage, "'encrypt.format' and its alias 'encryption' are given twice");
    if (format && value == "luks") {
      method = EncryptionOptions::Method::Luks;
    } else if (value == (format ? "aes" : "on")) {
      method = EncryptionOptions::Method::Aes;
    } else if (format || value != "off") {
      return fail(ErrorKind::BadUsage, "Parameter '{}' does not accept value '{}'", name, shown(value));
    }
  }
  return method;
}

Result<void> set_luks_word(EncryptionOptions& options, const std::string& name, const std::string& value) {
  const auto word = luks_words().find(name);
  if (word == luks_words().end()) return fail(ErrorKind::BadUsage, "Invalid parameter '{}'", shown(name));
  if (options.method != EncryptionOptions::Method::Luks) {
    return fail(ErrorKind::BadUsage, "Parameter '{}' is unexpected: encrypt.format=aes has no such choice", name);
  }
  auto set = word->second(options, value);
  return set ? set : Failure(Error{set.error().kind, 0, fmt::format("Parameter '{}' {}", name, set.error().text)});
}

}  // namespace

bool is_encrypt_word(std::string_view name) { return name == "encryption" || name.starts_with("encrypt."); }

bool makes_encrypted(const CreateRequest& request) {
  const auto method = method_of(request);
  return method && *method;
}

Result<std::optional<EncryptionOptions>> encryption_options(const CreateRequest& request) {
  TRY(const auto method, method_of(request));
  EncryptionOptions options;
  if (method) options.method = *method;
  for (const auto& [name, value] : request.options) {
    if (!is_encrypt_word(name) || name == "encrypt.format" || name == "encryption") continue;
    if (name == "encrypt.key-secret") {
      return fail(ErrorKind::BadUsage,
                  "Parameter 'encrypt.key-secret' names an object of QEMU: give a file that holds the passphrase with "
                  "--key-file FILE instead");
    }
    if (!method) return fail(ErrorKind::BadUsage, "Parameter 'encrypt.format' is missing");
    CHECK(set_luks_word(options, name, value));
  }
  if (!method) return std::optional<EncryptionOptions>();
  auto& cipher = options.algorithms.cipher;
  if (cipher.generator == crypto::Generator::Essiv && !cipher.generator_hash) {
    cipher.generator_hash = crypto::Hash::Sha256;
  }
  return std::optional(options);
}

}  // namespace flatimg::catalog
