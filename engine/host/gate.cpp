// From a name to a file, in four steps: the name itself, the places where it may lie (a permitted directory and a path
// beneath it), what the kernel finds there, and whether that is welcome.
//
// Only paths beneath a permitted directory are ever given to the kernel, except for one look: where such a path runs
// over a symbolic link that leaves the directory, its target is computed, and has to lie beneath a permitted directory
// itself.
#include "host/gate.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "base/limits.h"
#include "base/text.h"
#include "host/gate_calls.h"

namespace flatimg {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownName = 256;  // bytes of a name in a message

Result<std::string> absolute(const std::string& path) {
  std::error_code error;
  const fs::path result = fs::absolute(path, error);
  if (error) return fail_os(error.value(), "{}", shown(path));
  return result.string();
}

std::string normalised(const std::string& path) { return fs::path(path).lexically_normal().string(); }

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

// What is left of `path` behind the directory; nullopt when it does not lie beneath.
std::optional<std::string> behind(std::string_view directory, std::string_view path) {
  while (directory.ends_with('/')) directory.remove_suffix(1);
  if (!path.starts_with(directory)) return std::nullopt;
  path.remove_prefix(directory.size());
  if (!path.starts_with('/')) return std::nullopt;
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  return path.empty() ? "." : std::string(path);
}

std::optional<std::string> canonical(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr), std::free);
  if (!resolved) return std::nullopt;
  return std::string(resolved.get());
}

// "over.qcow2: backing file "base.raw"", the beginning of every refusal.
std::string subject(const Gate::Request& request) {
  return fmt::format("{}: {} \"{}\"", shown(request.asking_path), request.role,
                     shown_shortened(request.name, kShownName));
}

// The option that replaces a name, for the roles that have one.
std::string_view other_place(const Gate::Request& request) {
  return request.role == "backing file" ? ": give its place with -o backing=FILE" : "";
}

Result<void> must_be_a_name(const Gate::Request& request) {
  if (request.name.empty()) return fail(ErrorKind::InvalidImage, "{}: the name is empty", subject(request));
  if (request.name.find('\0') != std::string_view::npos) {
    return fail(ErrorKind::InvalidImage, "{}: the name contains a NUL", subject(request));
  }
  if (request.name.size() > limits::kNameLength) {
    return fail(ErrorKind::Limit, "{}: the name has more than {} bytes", subject(request), limits::kNameLength);
  }
  return {};
}

Failure outside(const Gate::Request& request) {
  return fail(ErrorKind::Denied,
              "{} is outside the permitted directories: allow it with -o allow-path=DIR, or --allow-path DIR",
              subject(request));
}

Failure refusal(const Gate::Request& request, int os_error) {
  if (os_error == EXDEV) return outside(request);
  Error error = system_error(os_error, subject(request));
  if (error.kind == ErrorKind::NotFound) error.text += other_place(request);
  if (os_error == ENOSYS) error.text += ": opening it safely takes Linux 5.6 or newer";
  return Failure(std::move(error));
}

// Which of two refusals tells people more: a file that is missing where it may be, rather than that it may not be
// elsewhere; and any other trouble rather than a missing file.
int more_telling(int a, int b) {
  const auto weight = [](int os_error) {
    if (os_error == EXDEV) return 0;
    return os_error == ENOENT || os_error == ENOTDIR ? 1 : 2;
  };
  return weight(b) > weight(a) ? b : a;
}

// N of "/proc/self/fd/N"; the standard streams belong to the program and are no images.
std::optional<int> descriptor_in(std::string_view name) {
  constexpr int kFirst = 3;
  const std::string prefix = std::string(Gate::kDescriptors) + "/";
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  int number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size() || number < kFirst) return std::nullopt;
  return number;
}

}  // namespace

// A file that the kernel found beneath a root, seen but not yet opened.
struct Gate::Found {
  Place place;
  gate::Look look;
};

Result<Gate> Gate::around(const std::string& top, const std::vector<std::string>& allowed) {
  Gate gate;
  TRY(const std::string top_path, absolute(top));
  std::error_code ignored;
  CHECK(gate.add_root(fs::is_directory(top_path, ignored) ? top_path : directory_of(top_path)));
  for (const std::string& directory : allowed) {
    gate.descriptors_permitted_ = gate.descriptors_permitted_ || directory == kDescriptors;
    if (directory == kDescriptors) continue;
    if (auto added = gate.add_root(directory); !added) return Failure(std::move(added.error()).within("allow-path"));
  }
  return gate;
}

Result<void> Gate::add_root(const std::string& directory) {
  TRY(std::string path, absolute(directory));
  Descriptor descriptor(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.valid()) return fail_os(errno, "{}", shown(directory));
  std::string real = canonical(path).value_or(path);
  roots_.push_back({std::move(path), std::move(real), std::make_shared<const Descriptor>(std::move(descriptor))});
  return {};
}

Gate Gate::for_another_image() const {
  Gate gate(*this);
  gate.opened_ = 0;
  gate.parts_opened_ = 0;
  return gate;
}

std::string Gate::resolve_name(std::string_view name, const std::string& asking_path) {
  if (name.starts_with('/')) return std::string(name);
  return directory_of(asking_path).append(name);
}

Result<std::string> Gate::name_for(const std::string& path, const std::string& asking_path) {
  TRY(const std::string named, absolute(path));
  TRY(const std::string asking, absolute(asking_path));
  std::string name = normalised(named);
  const std::string directory = directory_of(normalised(asking));
  if (name.starts_with(directory)) name.erase(0, directory.size());
  return name;
}

// ".." stays in the first spelling for the kernel to judge: behind a symbolic link it means another directory than the
// text says. The second spelling serves names such as "../other/base", which leave one root to enter another.
std::vector<Gate::Place> Gate::places_of(const std::string& path) const {
  std::vector<Place> places;
  for (const std::string& spelling : {path, normalised(path)}) {
    for (const Root& root : roots_) {
      for (const std::string& prefix : {root.path, root.canonical, normalised(root.path)}) {
        const auto beneath = behind(prefix, spelling);
        const auto same = [&](const Place& place) { return place.root == &root && place.beneath == *beneath; };
        if (beneath && std::ranges::none_of(places, same)) places.push_back({&root, *beneath});
      }
    }
  }
  return places;
}

Result<Gate::Found> Gate::find(const Request& request) const {
  TRY(const std::string asking, absolute(request.asking_path));
  std::string path = resolve_name(request.name, asking);
  int why = EXDEV;
  // Second round: where the links of a permitted path lead to, if that is another place.
  for (int round = 0; round < 2; ++round) {
    for (Place& place : places_of(path)) {
      const auto attempt = gate::open_beneath(*place.root->directory, place.beneath, O_PATH);
      if (attempt.os_error != 0) {
        why = more_telling(why, attempt.os_error);
        continue;
      }
      auto look = gate::look_at(attempt.descriptor);
      if (!look) return Failure(std::move(look.error()).within(subject(request)));
      return Found{std::move(place), *look};
    }
    if (why != EXDEV || !links_may_leave_ || places_of(normalised(path)).empty()) break;
    const auto target = canonical(path);
    if (!target) break;
    path = *target;
  }
  return refusal(request, why);
}

Result<void> Gate::must_be_welcome(const Found& found, const Request& request) const {
  const std::string what = subject(request);
  if (refused_device_ == found.look.identity.device) {
    return fail(ErrorKind::Denied, "{} lies on the mount that is being made of this image", what);
  }
  const auto kind = S_ISBLK(found.look.mode) ? "a block device" : unsuitable_file_kind(found.look.mode);
  if (kind) return fail(ErrorKind::Denied, "{} is {}: an image may name regular files only", what, *kind);
  return must_be_new(found.look.identity, request);
}

Result<void> Gate::must_be_new(const FileIdentity& file, const Request& request) const {
  const std::string what = subject(request);
  if (std::ranges::find(request.chain, file) != request.chain.end()) {
    return fail(ErrorKind::InvalidImage, "{} is a file that led here: the chain is a loop", what);
  }
  const bool part = request.role == kPart;
  const unsigned most = part ? limits::kCompositeParts : limits::kOpenedFiles;
  if ((part ? parts_opened_ : opened_) >= most) {
    return fail(ErrorKind::Limit, "{} is one file too many: an image may lead to {}", what, most);
  }
  return {};
}

// What was opened elsewhere: it may be a block device, and for reading only. Its offset is shared with whoever opened
// it, which nobody here uses.
Result<Gate::Opened> Gate::open_inherited(const Request& request, int number) {
  auto attempt = gate::duplicate_inherited(number);
  if (attempt.os_error != 0) {
    return fail(ErrorKind::NotFound, "{}: no such descriptor was handed over", subject(request));
  }
  TRY(const gate::Look look, gate::look_at(attempt.descriptor));
  if (const auto kind = unsuitable_file_kind(look.mode)) {
    return fail(ErrorKind::Denied, "{} is {}: an image may name regular files only", subject(request), *kind);
  }
  CHECK(must_be_new(look.identity, request));
  TRY(auto file, adopt_host_file(std::move(attempt.descriptor), std::string(request.name), request.access));
  ++count_of(request);
  return Opened{std::move(file), std::string(request.name)};
}

Result<Gate::Looked> Gate::look(const Request& request) const {
  CHECK(must_be_a_name(request));
  if (descriptor_in(request.name) && descriptors_permitted_) return Looked{std::string(request.name), {}, 0};
  TRY(const Found found, find(request));
  CHECK(must_be_welcome(found, request));
  std::string path = (fs::path(found.place.root->path) / found.place.beneath).string();
  return Looked{std::move(path), found.look.size, found.look.changed_at};
}

Result<Gate::Opened> Gate::open(const Request& request) {
  CHECK(must_be_a_name(request));
  const auto number = descriptor_in(request.name);
  if (number && descriptors_permitted_) return open_inherited(request, *number);
  TRY(const Found found, find(request));
  CHECK(must_be_welcome(found, request));
  const int mode = request.access == Access::ReadWrite ? O_RDWR : O_RDONLY;
  auto attempt = gate::open_beneath(*found.place.root->directory, found.place.beneath, mode | O_NONBLOCK | O_NOCTTY);
  if (attempt.os_error != 0) return refusal(request, attempt.os_error);
  TRY(const gate::Look look, gate::look_at(attempt.descriptor));
  if (look.identity != found.look.identity) {
    return fail(ErrorKind::Busy, "{} was replaced while it was opened: try again", subject(request));
  }
  std::string path = (fs::path(found.place.root->path) / found.place.beneath).string();
  TRY(auto file, adopt_host_file(std::move(attempt.descriptor), path, request.access));
  ++count_of(request);
  return Opened{std::move(file), std::move(path)};
}

}  // namespace flatimg
