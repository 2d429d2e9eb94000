// The table of option words, and the loop that looks them up.
#include "fuse/options.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/checked.h"
#include "base/text.h"
#include "fuse/option_values.h"

namespace flatimg::flat {

namespace {

constexpr unsigned kMostThreads = 256;

using Set = Result<void> (*)(MountOptions&, std::string_view value);
enum class Takes { Nothing, Value };

struct Option {
  std::string_view name;
  Takes takes;
  Set set;
};

/// *target = what `parsed` holds, or its error.
template <class Target, class T>
Result<void> store(Target& target, Result<T> parsed) {
  TRY(target, std::move(parsed));
  return {};
}

constexpr Words<bool, 2> kOnOff{{{"on", true}, {"off", false}}};
constexpr Words<DiskOptions::Discard, 2> kDiscard{
    {{"unmap", DiskOptions::Discard::Unmap}, {"ignore", DiskOptions::Discard::Ignore}}};
constexpr Words<DiskOptions::DetectZeroes, 3> kDetectZeroes{{{"off", DiskOptions::DetectZeroes::Off},
                                                             {"on", DiskOptions::DetectZeroes::On},
                                                             {"unmap", DiskOptions::DetectZeroes::Unmap}}};
constexpr Words<Transport, 3> kTransport{
    {{"auto", Transport::Auto}, {"thread", Transport::Thread}, {"uring", Transport::Uring}}};

Result<void> set_format(MountOptions& to, std::string_view value) {
  to.format = std::string(value);
  return {};
}

/// "DIR:DIR" as its parts; empty ones are left out.
std::vector<std::string> split_paths(std::string_view value) {
  std::vector<std::string> paths;
  while (!value.empty()) {
    const std::string_view path = value.substr(0, value.find(':'));
    value.remove_prefix(std::min(value.size(), path.size() + 1));
    if (!path.empty()) paths.emplace_back(path);
  }
  return paths;
}

Result<void> set_allowed(MountOptions& to, std::string_view value) {
  for (std::string& directory : split_paths(value)) to.allowed_directories.push_back(std::move(directory));
  return {};
}

Result<void> set_pieces(MountOptions& to, std::string_view value) {
  to.pieces = split_paths(value);
  return {};
}

Result<void> set_backing(MountOptions& to, std::string_view value) {
  to.backing = std::string(value);
  return {};
}

Result<void> set_overlay(MountOptions& to, std::string_view value) {
  to.overlay = std::string(value);
  return {};
}

Result<void> set_key_file(MountOptions& to, std::string_view value) {
  to.key_file = value;
  return {};
}

Result<void> set_snapshot(MountOptions& to, std::string_view value) {
  to.snapshot = std::string(value);
  return {};
}

Result<void> set_unpack_directory(MountOptions& to, std::string_view value) {
  std::error_code failed;
  to.unpack_directory = std::filesystem::absolute(value, failed).lexically_normal();
  return {};
}

Result<void> set_flush_interval(MountOptions& to, std::string_view value) {
  constexpr unsigned kDay = 24 * 60 * 60;
  TRY(const unsigned seconds, parse_number<unsigned>(value, 10, kDay));
  if (seconds == 0) return fail(ErrorKind::BadUsage, "it takes one second at least");
  to.flush_interval = std::chrono::seconds(seconds);
  return {};
}

Result<void> set_threads(MountOptions& to, std::string_view value) {
  TRY(const unsigned threads, parse_number<unsigned>(value, 10, kMostThreads));
  if (threads == 0) return fail(ErrorKind::BadUsage, "it takes one thread at least");
  to.threads = threads;
  return {};
}

Result<void> set_suffix(MountOptions& to, std::string_view value) {
  if (value.find('/') != std::string_view::npos) return fail(ErrorKind::BadUsage, "'{}' has a slash", value);
  to.suffix = value;
  return {};
}

Result<void> swallow(MountOptions& /*to*/, std::string_view /*value*/) { return {}; }

const std::vector<Option>& known_options() {
  static const std::vector<Option> options{
      {"format", Takes::Value, set_format},
      {"allow-path", Takes::Value, set_allowed},
      {"backing", Takes::Value, set_backing},
      {"pieces", Takes::Value, set_pieces},
      {"cache-size", Takes::Value, [](auto& to, auto value) { return store(to.cache_size, parse_size(value)); }},
      {"flush-interval", Takes::Value, set_flush_interval},
      {"unpack", Takes::Value, [](auto& to, auto value) { return store(to.unpack, parse_word(value, kOnOff)); }},
      {"unpack-dir", Takes::Value, set_unpack_directory},
      {"unpack-size", Takes::Value, [](auto& to, auto value) { return store(to.unpack_size, parse_size(value)); }},
      {"discard", Takes::Value,
       [](auto& to, auto value) { return store(to.disk.discard, parse_word(value, kDiscard)); }},
      {"detect-zeroes", Takes::Value,
       [](auto& to, auto value) { return store(to.disk.detect_zeroes, parse_word(value, kDetectZeroes)); }},
      {"io", Takes::Value, [](auto& to, auto value) { return store(to.transport, parse_word(value, kTransport)); }},
      {"threads", Takes::Value, set_threads},
      {"audit", Takes::Value, [](auto& to, auto value) { return store(to.audit, parse_word(value, kOnOff)); }},
      {"lock", Takes::Value, [](auto& to, auto value) { return store(to.locks, parse_word(value, kOnOff)); }},
      {"sandbox", Takes::Value, [](auto& to, auto value) { return store(to.sandbox, parse_word(value, kOnOff)); }},
      {"growable", Takes::Nothing, [](auto& to, auto) { return to.growable = true, Result<void>(); }},
      {"suffix", Takes::Value, set_suffix},
      {"overlay", Takes::Value, set_overlay},
      {"snapshot", Takes::Value, set_snapshot},
      {"key-file", Takes::Value, set_key_file},
      {"ro", Takes::Nothing, [](auto& to, auto) { return to.read_only = true, Result<void>(); }},
      {"rw", Takes::Nothing, [](auto& to, auto) { return to.read_only = false, Result<void>(); }},
      {"allow_other", Takes::Nothing, [](auto& to, auto) { return to.allow_other = true, Result<void>(); }},
      {"default_permissions", Takes::Nothing, swallow},  // always on
      {"uid", Takes::Value, [](auto& to, auto value) { return store(to.uid, parse_number<uid_t>(value)); }},
      {"gid", Takes::Value, [](auto& to, auto value) { return store(to.gid, parse_number<gid_t>(value)); }},
      {"umask", Takes::Value,
       [](auto& to, auto value) { return store(to.umask, parse_number<mode_t>(value, 8, 0777)); }},
      {"fsname", Takes::Value, [](auto& to, auto value) { return to.fsname = std::string(value), Result<void>(); }},
      {"subtype", Takes::Value, [](auto& to, auto value) { return to.subtype = std::string(value), Result<void>(); }},
      {"max_read", Takes::Value,
       [](auto& to, auto value) { return store(to.max_read, parse_number<unsigned>(value)); }},
  };
  return options;
}

// Words that change what the kernel does with a mount and that libfuse hands on.
constexpr std::array kKernelWords{"sync",       "async",    "dirsync",    "atime",       "noatime",      "diratime",
                                  "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime"};
constexpr std::array kKernelWordsPassed{"sync", "dirsync", "noatime", "nodiratime"};

// mount(8)'s own words, and what is so in any case: nothing in these trees is a device, setuid or to be executed.
constexpr std::array kSwallowed{"auto",     "noauto",     "user",     "nouser",     "users",   "nousers",  "owner",
                                "noowner",  "group",      "nogroup",  "nofail",     "_netdev", "defaults", "nosuid",
                                "suid",     "nodev",      "dev",      "noexec",     "exec",    "mand",     "nomand",
                                "lazytime", "nolazytime", "iversion", "noiversion", "silent",  "loud"};
constexpr std::array kSwallowedPrefixes{"x-", "X-", "comment=", "uhelper=", "helper="};

bool is_swallowed(std::string_view word) {
  return std::ranges::find(kSwallowed, word) != kSwallowed.end() ||
         std::ranges::any_of(kSwallowedPrefixes, [&](std::string_view prefix) { return word.starts_with(prefix); });
}

Result<void> apply(const Option& option, const std::string& word, MountOptions& to) {
  const auto equals = word.find('=');
  const bool has_value = equals != std::string::npos;
  if (has_value != (option.takes == Takes::Value)) {
    return fail(ErrorKind::BadUsage, "option {}: it takes {}", shown(word),
                has_value ? "no value" : "a value, NAME=VALUE");
  }
  const std::string_view value = has_value ? std::string_view(word).substr(equals + 1) : std::string_view();
  if (has_value && value.empty() && option.name != "suffix") {
    return fail(ErrorKind::BadUsage, "option {}: the value is empty", shown(word));
  }
  if (auto set = option.set(to, value); !set) return Failure(std::move(set.error()).within("option " + shown(word)));
  return {};
}

Result<void> apply_word(const std::string& word, UnknownOption unknown, MountOptions& to) {
  const std::string_view name = std::string_view(word).substr(0, word.find('='));
  const auto& options = known_options();
  const auto known = std::ranges::find(options, name, &Option::name);
  if (known != options.end()) return apply(*known, word, to);
  if (std::ranges::find(kKernelWords, word) != kKernelWords.end()) {
    if (std::ranges::find(kKernelWordsPassed, word) != kKernelWordsPassed.end()) to.kernel_words.push_back(word);
    return {};
  }
  if (is_swallowed(word) || unknown == UnknownOption::Ignore) return {};
  return fail(ErrorKind::BadUsage, "option {}: unknown. See flatimg mount --help", shown(word));
}

}  // namespace

Result<MountOptions> parse_options(const std::vector<std::string>& lists, UnknownOption unknown) {
  MountOptions options;
  for (const std::string& list : lists) {
    for (const std::string& word : split_list(list)) CHECK(apply_word(word, unknown, options));
  }
  options.read_only |= options.snapshot.has_value();
  return options;
}

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> words(1);
  for (std::size_t at = 0; at < list.size(); ++at) {
    if (list[at] == '\\' && at + 1 < list.size() && (list[at + 1] == ',' || list[at + 1] == '\\')) {
      words.back() += list[++at];
    } else if (list[at] == ',') {
      words.emplace_back();
    } else {
      words.back() += list[at];
    }
  }
  std::erase(words, "");
  return words;
}

std::string escaped_for_list(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == ',' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

Result<ByteCount> parse_size(std::string_view text) {
  constexpr std::string_view kSuffixes = "KMGTP";
  std::uint64_t unit = 1;
  std::string_view digits = text;
  if (!text.empty()) {
    const auto suffix = kSuffixes.find(static_cast<char>(std::toupper(static_cast<unsigned char>(text.back()))));
    if (suffix != std::string_view::npos) {
      unit = std::uint64_t{1} << (10 * (suffix + 1));
      digits.remove_suffix(1);
    }
  }
  const auto number = parse_number<std::uint64_t>(digits);
  const auto bytes = number ? checked_multiply(*number, unit) : std::nullopt;
  if (!bytes) return fail(ErrorKind::BadUsage, "'{}' is not a size such as 512, 64K, 1M or 2G", text);
  return ByteCount(*bytes);
}

}  // namespace flatimg::flat
