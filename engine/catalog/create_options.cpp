#include "catalog/create_options.h"

#include <cctype>
#include <charconv>
#include <functional>
#include <map>

#include "base/checked.h"
#include "base/text.h"
#include "catalog/encrypt_options.h"

namespace flatimg::catalog {

namespace {

using Options = qcow2::CreateOptions;
using Setter = std::function<Result<void>(Options&, const std::string&)>;

Failure bad_value(std::string_view name, std::string_view wanted) {
  return fail(ErrorKind::BadUsage, "Parameter '{}' expects {}", name, wanted);
}

Setter on_off(const char* name, bool Options::*field) {
  return [name, field](Options& options, const std::string& value) -> Result<void> {
    if (value != "on" && value != "off") return bad_value(name, "'on' or 'off'");
    options.*field = value == "on";
    return {};
  };
}

Setter text(std::optional<std::string> Options::*field) {
  return [field](Options& options, const std::string& value) -> Result<void> {
    options.*field = value;
    return {};
  };
}

template <class Value>
Setter one_of(const char* name, Value Options::*field, std::map<std::string, Value> words) {
  return [name, field, words](Options& options, const std::string& value) -> Result<void> {
    const auto found = words.find(value);
    if (found == words.end()) {
      return fail(ErrorKind::BadUsage, "Parameter '{}' does not accept value '{}'", name, shown(value));
    }
    options.*field = found->second;
    return {};
  };
}

Setter bytes(const char* name, ByteCount Options::*field) {
  return [name, field](Options& options, const std::string& value) -> Result<void> {
    const auto count = parse_size(value);
    if (!count) return bad_value(name, "a number of bytes, perhaps with one of the suffixes K M G T P E");
    options.*field = *count;
    return {};
  };
}

Result<void> set_refcount_bits(Options& options, const std::string& value) {
  const auto bits = parse_size(value);
  if (!bits) return bad_value("refcount_bits", "a number");
  options.refcount_bits = bits->value();
  return {};
}

using Words = std::map<std::string, Setter>;

Setter preallocation(bool with_metadata) {
  using qcow2::Preallocation;
  std::map<std::string, Preallocation> words{
      {"off", Preallocation::Off}, {"falloc", Preallocation::Falloc}, {"full", Preallocation::Full}};
  if (with_metadata) words["metadata"] = Preallocation::Metadata;
  return one_of("preallocation", &Options::preallocation, std::move(words));
}

const Words& qcow2_words() {
  static const std::map<std::string, std::uint32_t> versions{{"0.10", 2}, {"v2", 2}, {"1.1", 3}, {"v3", 3}};
  static const Words words{
      {"backing_file", text(&Options::backing_name)},
      {"backing_fmt", text(&Options::backing_format)},
      {"cluster_size", bytes("cluster_size", &Options::cluster_size)},
      {"compat", one_of("compat", &Options::version, versions)},
      {"compression_type", one_of("compression_type", &Options::compression,
                                  {{"zlib", qcow2::Compression::Deflate}, {"zstd", qcow2::Compression::Zstd}})},
      {"data_file", text(&Options::data_file_name)},
      {"data_file_raw", on_off("data_file_raw", &Options::raw_data_file)},
      {"extended_l2", on_off("extended_l2", &Options::extended_l2)},
      {"lazy_refcounts", on_off("lazy_refcounts", &Options::lazy_refcounts)},
      {"preallocation", preallocation(true)},
      {"refcount_bits", set_refcount_bits},
      {"size", bytes("size", &Options::size)},
  };
  return words;
}

const Words& raw_words() {
  static const Words words{{"preallocation", preallocation(false)}, {"size", bytes("size", &Options::size)}};
  return words;
}

const Words& qcow1_words() {
  static const Words words{{"backing_file", text(&Options::backing_name)},
                           {"backing_fmt", text(&Options::backing_format)},
                           {"size", bytes("size", &Options::size)}};
  return words;
}

// The last of the words xen=, which are taken out.
Result<qcow1::Xen> take_xen_word(CreateRequest& request) {
  static const std::map<std::string, qcow1::Xen> meanings{
      {"off", qcow1::Xen::No}, {"sparse", qcow1::Xen::Sparse}, {"preallocated", qcow1::Xen::Preallocated}};
  qcow1::Xen xen = qcow1::Xen::No;
  for (const auto& [name, value] : request.options) {
    if (name != "xen") continue;
    const auto found = meanings.find(value);
    if (found == meanings.end()) {
      return fail(ErrorKind::BadUsage, "Parameter 'xen' does not accept value '{}': use off, sparse or preallocated",
                  shown(value));
    }
    xen = found->second;
  }
  std::erase_if(request.options, [](const auto& option) { return option.first == "xen"; });
  return xen;
}

Result<Options> options_from(const CreateRequest& request, const Words& words) {
  Options options;
  for (const auto& [name, value] : request.options) {
    if (request.format != "raw" && is_encrypt_word(name)) continue;  // encryption_options() reads them
    const auto word = words.find(name);
    if (word == words.end()) return fail(ErrorKind::BadUsage, "Invalid parameter '{}'", shown(name));
    CHECK(word->second(options, value));
  }
  if (request.backing) options.backing_name = request.backing;
  if (request.backing_format) options.backing_format = request.backing_format;
  if (request.size) options.size = *request.size;
  return options;
}

}  // namespace

std::optional<ByteCount> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  if (suffix.empty()) return ByteCount(number);
  const std::size_t power = std::string_view("BKMGTPE").find(static_cast<char>(std::toupper(suffix[0])));
  if (suffix.size() > 1 || power == std::string_view::npos) return std::nullopt;
  const auto scaled = checked_multiply(number, std::uint64_t{1} << (10 * power));
  return scaled ? std::optional(ByteCount(*scaled)) : std::nullopt;
}

Result<Options> qcow2_options(const CreateRequest& request) {
  TRY(Options options, options_from(request, qcow2_words()));
  TRY(options.encryption, encryption_options(request));
  options.passphrase = request.passphrase;
  return options;
}

Result<Qcow1Options> qcow1_options(const CreateRequest& request) {
  CreateRequest without_xen = request;
  Qcow1Options options;
  TRY(options.xen, take_xen_word(without_xen));
  TRY(options.common, options_from(without_xen, qcow1_words()));
  TRY(options.common.encryption, encryption_options(without_xen));
  if (options.common.encryption && options.common.encryption->method != qcow2::EncryptionOptions::Method::Aes) {
    return fail(ErrorKind::BadUsage, "Parameter 'encrypt.format' does not accept value 'luks': qcow images have aes");
  }
  return options;
}

Result<Options> raw_options(const CreateRequest& request) {
  if (request.backing || request.backing_format) {
    return fail(ErrorKind::BadUsage, "Backing file not supported for file format 'raw'");
  }
  return options_from(request, raw_words());
}

}  // namespace flatimg::catalog
