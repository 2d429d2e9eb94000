#include "crypto/algorithms.h"

#include <algorithm>

#include "base/text.h"

namespace flatimg::crypto {

namespace {

template <class Value>
struct Word {
  std::string_view word;
  Value value;
};

constexpr std::array<Word<Family>, 4> kFamilies{
    {{"aes", Family::Aes}, {"serpent", Family::Serpent}, {"twofish", Family::Twofish}, {"cast5", Family::Cast5}}};
constexpr std::array<Word<Mode>, 4> kModes{
    {{"xts", Mode::Xts}, {"cbc", Mode::Cbc}, {"ctr", Mode::Ctr}, {"ecb", Mode::Ecb}}};
constexpr std::array<Word<Generator>, 3> kGenerators{
    {{"plain", Generator::Plain}, {"plain64", Generator::Plain64}, {"essiv", Generator::Essiv}}};

struct HashWord {
  std::string_view word;
  Hash value;
  std::size_t bytes;
};
constexpr std::array<HashWord, 7> kHashes{{{"md5", Hash::Md5, 16},
                                           {"sha1", Hash::Sha1, 20},
                                           {"sha224", Hash::Sha224, 28},
                                           {"sha256", Hash::Sha256, 32},
                                           {"sha384", Hash::Sha384, 48},
                                           {"sha512", Hash::Sha512, 64},
                                           {"ripemd160", Hash::Ripemd160, 20}}};

template <class Table>
auto named(const Table& table, std::string_view word) -> std::optional<decltype(table[0].value)> {
  const auto found = std::ranges::find(table, word, [](const auto& entry) { return entry.word; });
  return found == table.end() ? std::nullopt : std::optional<decltype(table[0].value)>(found->value);
}

template <class Table, class Value>
const auto& entry_for(const Table& table, Value value) {
  return *std::ranges::find(table, value, [](const auto& entry) { return entry.value; });
}

bool has_key_size(Family family, unsigned bits) {
  if (family == Family::Cast5) return bits == 128;
  return bits == 128 || bits == 192 || bits == 256;
}

// ESSIV uses the hash of the key as a key, so some member of the family must take one of that length.
Result<void> check_generator(const CipherSpec& spec) {
  if (spec.generator != Generator::Essiv) return {};
  if (!spec.generator_hash) return fail(ErrorKind::Unsupported, "the IV generator essiv needs a hash");
  const std::size_t bytes = digest_bytes(*spec.generator_hash);
  if (has_key_size(spec.family, static_cast<unsigned>(bytes * 8))) return {};
  return fail(ErrorKind::Unsupported, "the IV generator essiv:{} does not go with {}, which takes no key of {} bytes",
              word_for(*spec.generator_hash), word_for(spec.family), bytes);
}

}  // namespace

Result<void> check_spec(const CipherSpec& spec) {
  if (!has_key_size(spec.family, spec.key_bits)) {
    return fail(ErrorKind::Unsupported, "the cipher {} takes no key of {} bits", word_for(spec.family), spec.key_bits);
  }
  if (spec.family == Family::Cast5 && spec.mode == Mode::Xts) {
    return fail(ErrorKind::Unsupported, "the mode xts does not go with cast5, whose blocks have 64 bits");
  }
  return check_generator(spec);
}

std::size_t digest_bytes(Hash hash) { return entry_for(kHashes, hash).bytes; }

std::string_view word_for(Family family) { return entry_for(kFamilies, family).word; }
std::string_view word_for(Mode mode) { return entry_for(kModes, mode).word; }
std::string_view word_for(Generator generator) { return entry_for(kGenerators, generator).word; }
std::string_view word_for(Hash hash) { return entry_for(kHashes, hash).word; }

std::optional<Hash> hash_named(std::string_view word) { return named(kHashes, word); }
std::optional<Mode> mode_named(std::string_view word) { return named(kModes, word); }
std::optional<Generator> generator_named(std::string_view word) { return named(kGenerators, word); }

std::optional<Algorithm> algorithm_named(std::string_view word) {
  for (const auto& [name, family] : kFamilies) {
    for (const unsigned bits : {128u, 192u, 256u}) {
      if (has_key_size(family, bits) && word == fmt::format("{}-{}", name, bits)) return Algorithm{family, bits};
    }
  }
  return std::nullopt;
}

std::string mode_text(const CipherSpec& spec) {
  std::string text = fmt::format("{}-{}", word_for(spec.mode), word_for(spec.generator));
  if (spec.generator_hash) text += fmt::format(":{}", word_for(*spec.generator_hash));
  return text;
}

Result<CipherSpec> spec_from(std::string_view cipher, std::string_view mode_text, std::size_t key_bytes) {
  const auto unknown = [](std::string_view what, std::string_view word) {
    return fail(ErrorKind::Unsupported, "the {} \"{}\" is not supported", what, shown(word));
  };
  const std::size_t dash = std::min(mode_text.find('-'), mode_text.size());
  const std::string_view generator_text = mode_text.substr(std::min(dash + 1, mode_text.size()));
  const std::size_t colon = std::min(generator_text.find(':'), generator_text.size());
  const auto family = named(kFamilies, cipher);
  const auto mode = mode_named(mode_text.substr(0, dash));
  const auto generator = generator_named(generator_text.substr(0, colon));
  if (!family) return unknown("cipher", cipher);
  if (!mode) return unknown("cipher mode", mode_text);
  if (!generator) return unknown("IV generator", generator_text);
  CipherSpec spec{*family, 0, *mode, *generator, std::nullopt};
  if (colon < generator_text.size()) {
    spec.generator_hash = hash_named(generator_text.substr(colon + 1));
    if (!spec.generator_hash) return unknown("hash", generator_text.substr(colon + 1));
  }
  if (key_bytes > 2 * kLargestDigest) return fail(ErrorKind::Unsupported, "a key of {} bytes is too long", key_bytes);
  spec.key_bits = static_cast<unsigned>(key_bytes * 8 / (*mode == Mode::Xts ? 2 : 1));
  CHECK(check_spec(spec));
  return spec;
}

}  // namespace flatimg::crypto
