#include "catalog/replaced_base.h"

#include "base/text.h"

namespace flatimg::catalog {

namespace {

std::string name_in_folder(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Result<Gate::Looked> look(const Gate& gate, const std::string& name, const std::string& asking_path) {
  return gate.look({name, asking_path, "backing file", Access::ReadOnly});
}

}  // namespace

std::optional<qcow2::BackingFacts> facts_of(const std::string& path) {
  const auto gate = Gate::around(path, {});
  if (!gate) return std::nullopt;
  const auto found = look(*gate, name_in_folder(path), path);
  if (!found) return std::nullopt;
  return qcow2::BackingFacts{found->size, found->changed_at};
}

std::optional<std::string> note_on_replaced_base(const Gate& gate, const std::string& path,
                                                 const qcow2::Header& header) {
  if (!header.backing_name) return std::nullopt;
  const auto recorded = qcow2::recorded_facts(header);
  if (!recorded) return note_on_later_base(gate, path, *header.backing_name);
  const auto base = look(gate, *header.backing_name, path);
  if (!base || *recorded == qcow2::BackingFacts{base->size, base->changed_at}) return std::nullopt;
  const std::string_view how = recorded->file_size != base->size         ? "has another size than"
                               : recorded->written_at < base->changed_at ? "was written later than"
                                                                         : "is older than";
  return fmt::format(
      "{} {} the file that this image was made over: if that was neither a commit nor a copy, what is shown is wrong",
      shown(base->path), how);
}

std::optional<std::string> note_on_later_base(const Gate& gate, const std::string& path,
                                              const std::string& backing_name) {
  const auto base = look(gate, backing_name, path);
  const auto own = look(gate, name_in_folder(path), path);
  if (!base || !own || base->changed_at <= own->changed_at) return std::nullopt;
  return fmt::format("{} was written after this image: if that was no commit, it is not what this image was made over",
                     shown(base->path));
}

}  // namespace flatimg::catalog
