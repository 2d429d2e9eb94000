// The one place that opens a file because an image named it (backing file, external data file, composite part).
//
// Used by one thread at a time.
//
// Invariants (promise S2):
//   1. A name opens only when it resolves beneath a permitted directory: that of the top image (or of the mounted
//      directory) and those of allow-path=. The kernel decides (openat2 with RESOLVE_BENEATH and NO_MAGICLINKS).
//   2. Names are names: no json:, nbd:, fd: or other protocol has a meaning, no NUL, no over-long name.
//   3. What the name leads to is looked at through O_PATH before it is really opened: regular files only.
//   4. At most limits::kOpenedFiles files, and limits::kCompositeParts parts of disks besides; never the same file
//   twice
//      in a chain (the caller passes the chain), and never a file of our own mount (we would wait for ourselves).
//   5. A descriptor (the name /proc/self/fd/N, as crosvm has it) is duplicated only when the user has permitted it with
//      allow-path=/proc/self/fd and it was inherited: open when this process began, without close-on-exec.
//   6. A refusal names the file, the image that asked for it and the option that would allow it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/posix_file.h"

namespace flatimg {

class Gate {
 public:
  /// For an image (or directory) at `top`; `allowed` are the directories of allow-path=, and perhaps kDescriptors.
  static Result<Gate> around(const std::string& top, const std::vector<std::string>& allowed);

  static constexpr std::string_view kPart = "part";  // the role of parts of a composite disk
  static constexpr std::string_view kDescriptors = "/proc/self/fd";

  Gate(Gate&&) noexcept = default;
  Gate& operator=(Gate&&) noexcept = default;
  Gate& operator=(const Gate&) = delete;

  /// The same permissions for another top image, with nothing opened yet. Any thread; needs no path to be looked up.
  [[nodiscard]] Gate for_another_image() const;
  /// From now on a symbolic link that leads out of a permitted directory is refused, even where it leads back into one:
  /// its path may run over our own mount, and finding out would be a question to ourselves.
  void refuse_links_that_leave() { links_may_leave_ = false; }

  struct Request {
    std::string_view name;    // as the image spells it
    std::string asking_path;  // the image that names it; relative names are resolved in its directory
    std::string_view role;    // "backing file", "data file": for messages
    Access access = Access::ReadOnly;
    std::span<const FileIdentity> chain = {};  // files that lead to this one; meeting one of them again is a loop
  };
  struct Opened {
    std::unique_ptr<HostFile> file;
    std::string path;  // absolute; becomes asking_path of what this file names in turn
  };
  /// Opens what the image names, or says why not: NotFound, or Denied, Limit, InvalidImage for what may not be opened.
  Result<Opened> open(const Request& request);

  /// A file that a name leads to, looked at without being opened.
  struct Looked {
    std::string path;
    ByteCount size;
    std::int64_t changed_at = 0;  // seconds since 1970
  };
  /// What open() would open, or why it would not.
  [[nodiscard]] Result<Looked> look(const Request& request) const;

  /// Refuses files of this device (st_dev) from now on: that of our own mount, once it exists.
  void refuse_device(std::uint64_t device) { refused_device_ = device; }

  /// Where the name would lead, without opening or permission: for `info`.
  [[nodiscard]] static std::string resolve_name(std::string_view name, const std::string& asking_path);
  /// How an image at `asking_path` had best name a file: relative to its own directory where the file lies beneath, so
  /// that they can move together, otherwise by its absolute path.
  [[nodiscard]] static Result<std::string> name_for(const std::string& path, const std::string& asking_path);

 private:
  struct Root {
    std::string path;       // absolute, as typed
    std::string canonical;  // without symbolic links
    std::shared_ptr<const Descriptor> directory;
  };
  struct Place {
    const Root* root = nullptr;
    std::string beneath;  // relative to the root; the kernel judges it
  };
  struct Found;
  Gate() = default;
  Gate(const Gate&) = default;
  Result<void> add_root(const std::string& directory);
  Result<Opened> open_inherited(const Request& request, int number);
  [[nodiscard]] std::vector<Place> places_of(const std::string& path) const;
  [[nodiscard]] Result<Found> find(const Request& request) const;
  [[nodiscard]] Result<void> must_be_welcome(const Found& found, const Request& request) const;
  [[nodiscard]] unsigned& count_of(const Request& request) { return request.role == kPart ? parts_opened_ : opened_; }
  [[nodiscard]] Result<void> must_be_new(const FileIdentity& file, const Request& request) const;

  std::vector<Root> roots_;
  bool descriptors_permitted_ = false;
  bool links_may_leave_ = true;
  unsigned opened_ = 0;
  unsigned parts_opened_ = 0;
  std::optional<std::uint64_t> refused_device_;
};

}  // namespace flatimg
