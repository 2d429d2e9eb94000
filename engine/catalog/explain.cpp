#include "catalog/explain.h"

#include <algorithm>

#include "base/text.h"
#include "catalog/chain_rules.h"
#include "catalog/describe.h"
#include "catalog/glance.h"
#include "catalog/probe.h"
#include "catalog/replaced_base.h"
#include "catalog/split_pieces.h"
#include "composite/header.h"
#include "host/file_lock.h"
#include "host/gate.h"
#include "qcow1/header.h"
#include "qcow2/qcow2_image.h"

namespace flatimg::catalog {

namespace {

using Weight = Problem::Weight;

constexpr const char* kCheck = "flatimg check IMAGE tells what is wrong, flatimg check -r all IMAGE repairs it";

// By the header alone.
std::optional<ByteCount> disk_size(HostFile& file, const std::optional<std::string>& format) {
  if (format != "raw") {
    const auto image = glance(file);
    if (!image) return std::nullopt;
    if (*image) return (*image)->virtual_size;
  }
  const auto size = file.size();
  return size ? std::optional(*size) : std::nullopt;
}

class Explainer {
 public:
  Explainer(const InspectRequest& request, Reach reach) : request_(request), reach_(reach) {}

  Explanation run() {
    auto gate = Gate::around(request_.path, request_.allowed_directories);
    auto file = open_host_file(request_.path, Access::ReadOnly);
    if (!file) {
      add(Weight::Refusal, request_.path, "file", file.error().text, "");
      return std::move(found_);
    }
    if (!gate) {
      add(Weight::Refusal, request_.path, "allow-path", gate.error().text, "");
      return std::move(found_);
    }
    gate_.emplace(*std::move(gate));
    note_locks(**file);
    note_permissions();
    look_at(*std::move(file), request_.path, request_.format, ChainRules());
    return std::move(found_);
  }

 private:
  void add(Weight weight, const std::string& image, std::string feature, std::string text, std::string help) {
    found_.problems.push_back({weight, image, std::move(feature), std::move(text), std::move(help)});
  }

  // The lock goes with the file.
  void note_locks(const HostFile& file) {
    if (request_.locks == Locks::Ignore) return;
    if (const auto locked = lock_image(file, LockAs::Reader); !locked) {
      add(Weight::Refusal, request_.path, "lock", locked.error().text, "end the other user, or unmount it there");
    }
  }
  void note_permissions() {
    const auto writable = open_host_file(request_.path, Access::ReadWrite);
    if (writable || writable.error().kind != ErrorKind::Denied) return;
    add(Weight::ReadOnly, request_.path, "permissions", writable.error().text, "overlay=FILE takes the writes");
  }

  void look_at(std::unique_ptr<HostFile> file, const std::string& path, const std::optional<std::string>& format,
               ChainRules rules) {
    if (const auto admitted = rules.admit(*file, path); !admitted) {
      return add(Weight::Refusal, path, "chain", admitted.error().text, "");
    }
    InspectRequest look = request_;
    look.path = path;
    look.format = format;
    look.locks = Locks::Ignore;
    auto image = inspect_opened(std::move(file), look);
    if (!image) return add(Weight::Refusal, path, "format", image.error().text, "format=F names it");
    if (found_.format.empty()) found_.format = image->format;
    if (!format) note_foreign(*image);
    explain_format(*image, rules);
  }

  void note_foreign(const Inspected& image) {
    const auto foreign = probe_foreign(*image.file);
    if (!foreign || !*foreign) return;
    add(Weight::ReadOnly, image.path, "format",
        fmt::format("is a {} image, which flatimg does not read, and is shown as the file that it is", **foreign),
        "qemu-img convert -O qcow2 makes an image with the disk in it; format=raw would write into the file");
  }

  void explain_format(const Inspected& image, const ChainRules& rules) {
    if (image.format == "qcow2") return explain_qcow2(image, rules);
    if (image.format == "qcow") return explain_qcow1(image, rules);
    if (image.format == "composite") return explain_composite(image, rules);
    if (image.format == "sparse") explain_pieces(image, rules);
    if (image.format == "sparse" || image.format == "zstd") {
      add(Weight::ReadOnly, image.path, "format", image.format + " images are never written",
          "overlay=FILE takes the writes");
    }
    if (const auto described = describe_inspected(image); !described && described.error().kind != ErrorKind::Limit) {
      add(Weight::Refusal, image.path, "format", described.error().text, "");
    }
  }

  // --- one format after the other -----------------------------------------------------------------------------------

  void explain_qcow2(const Inspected& image, const ChainRules& rules) {
    const auto header = qcow2::read_header_fields(*image.file);
    if (!header) return add(Weight::Refusal, image.path, "header", header.error().text, kCheck);
    for (const Error& wrong : qcow2::judge_header(*header, qcow2::HeaderUse::Open)) {
      const bool unknown = wrong.kind == ErrorKind::Unsupported;
      add(Weight::Refusal, image.path, unknown ? "incompatible features" : "header", wrong.text,
          unknown ? "qemu-img convert makes an image without them" : kCheck);
    }
    note_qcow2_state(image, *header);
    if (header->has(qcow2::incompatible::kDataFile)) {
      follow(image, {header->data_file_name.value_or(""), "raw", "data file"}, Access::ReadWrite, rules);
    }
    if (header->backing_name) {
      note_base(image, note_on_replaced_base(*gate_, image.path, *header));
      follow(image, {*header->backing_name, header->backing_format, "backing file", header->size}, Access::ReadOnly,
             rules);
    }
  }

  void note_qcow2_state(const Inspected& image, const qcow2::Header& header) {
    if (header.has(qcow2::incompatible::kCorrupt)) {
      add(Weight::ReadOnly, image.path, "corrupt bit", "somebody has found the image to be damaged",
          "flatimg check -r all IMAGE");
    }
    if (header.has(qcow2::incompatible::kDirty)) {
      add(Weight::Note, image.path, "dirty bit", "it was not closed: its refcounts are rebuilt before the first write",
          "");
    }
    if (header.bitmaps && (header.autoclear & qcow2::autoclear::kBitmaps) != 0) {
      add(Weight::Note, image.path, "bitmaps", "its dirty bitmaps become invalid with the first write", "ro");
    }
    note_encryption(image, header.crypt_method != 0);
  }

  void explain_qcow1(const Inspected& image, const ChainRules& rules) {
    const auto header = qcow1::read_header(*image.file);
    if (!header) return add(Weight::Refusal, image.path, "header", header.error().text, "");
    note_encryption(image, header->crypt_method != 0);
    if (header->backing_name) {
      note_base(image, note_on_later_base(*gate_, image.path, *header->backing_name));
      follow(image, {*header->backing_name, std::nullopt, "backing file", header->size}, Access::ReadOnly, rules);
    }
  }

  void explain_composite(const Inspected& image, const ChainRules& rules) {
    const auto header = composite::read_header(*image.file);
    if (!header) return add(Weight::Refusal, image.path, "header", header.error().text, "");
    for (const composite::Part& part : header->parts) {
      const Access access = part.writable() ? Access::ReadWrite : Access::ReadOnly;
      follow(image, {part.path, std::nullopt, std::string(Gate::kPart)}, access, rules);
    }
  }

  void explain_pieces(const Inspected& image, const ChainRules& rules) {
    for (unsigned number = 1;; ++number) {
      const auto name = piece_name(image.path, number);
      if (!name || !gate_->look({*name, image.path, "piece", Access::ReadOnly, rules.files()})) return;
      follow(image, {*name, "sparse", "piece"}, Access::ReadOnly, rules);
    }
  }

  void note_encryption(const Inspected& image, bool encrypted) {
    if (!encrypted) return;
    add(Weight::Note, image.path, "encryption", "it is encrypted", "key-file=FILE, or the passphrase is asked for");
  }

  // --- what an image names ------------------------------------------------------------------------------------------

  struct Name {
    std::string name;
    std::optional<std::string> format;
    std::string role;
    std::optional<ByteCount> size_in_front = {};  // of the disk that names it, where both are whole disks
  };

  void follow(const Inspected& image, const Name& named, Access access, const ChainRules& rules) {
    const Gate::Request wanted{named.name, image.path, named.role, access, rules.files()};
    const auto looked = gate_->look(wanted);
    std::string path = looked ? looked->path : Gate::resolve_name(named.name, image.path);
    found_.files.push_back({image.path, named.role, named.name, std::move(path), looked.has_value(), named.format});
    if (!looked) return note_refusal(image, named, looked.error());
    if (named.role == "backing file" && !named.format) note_guess(image, named);
    if (reach_ == Reach::Chain && named.role != "piece" && named.role != "data file") descend(wanted, named, rules);
  }

  void note_refusal(const Inspected& image, const Name& named, const Error& why) {
    std::string help;
    if (why.kind == ErrorKind::Denied) help = "allow-path=DIR permits more directories";
    if (why.kind == ErrorKind::NotFound && named.role == "backing file") {
      help = "backing=FILE uses another one, flatimg rebase -u -b FILE IMAGE records it";
    }
    add(Weight::Refusal, image.path, named.role, why.text, help);
  }

  void note_guess(const Inspected& image, const Name& named) {
    add(Weight::Note, image.path, "backing file format", "is not recorded, so it is guessed by the first bytes",
        fmt::format("flatimg rebase -u -b {} -F FORMAT IMAGE", shown(named.name)));
  }

  void note_base(const Inspected& image, std::optional<std::string> wrong) {
    if (wrong) add(Weight::Note, image.path, "backing file", *std::move(wrong), "backing=FILE uses another one");
  }

  // The rest of a longer disk reads as zeroes, that of a longer base is not shown.
  void note_sizes(const Gate::Request& wanted, const Name& named, HostFile& base) {
    if (!named.size_in_front) return;
    const auto size = disk_size(base, named.format);
    if (!size || *size == *named.size_in_front) return;
    add(Weight::Note, wanted.asking_path, "backing file",
        fmt::format("{} is {} than this disk: {} bytes, not {}", shown(base.name()),
                    *size < *named.size_in_front ? "smaller" : "larger", size->value(), named.size_in_front->value()),
        "");
  }

  void descend(const Gate::Request& wanted, const Name& named, const ChainRules& rules) {
    Gate::Request reading = wanted;
    reading.access = Access::ReadOnly;
    auto opened = gate_->open(reading);
    if (!opened) return add(Weight::Refusal, wanted.asking_path, named.role, opened.error().text, "");
    note_sizes(wanted, named, *opened->file);
    look_at(std::move(opened->file), opened->path, named.format, rules);
  }

  const InspectRequest& request_;
  const Reach reach_;
  std::optional<Gate> gate_;
  Explanation found_;
};

}  // namespace

bool Explanation::can_be_mounted() const {
  return std::ranges::none_of(problems, [](const Problem& one) { return one.weight == Weight::Refusal; });
}

Explanation explain(const InspectRequest& request, Reach reach) { return Explainer(request, reach).run(); }

}  // namespace flatimg::catalog
