#include "fuse/tree/facts.h"

#include <unistd.h>

#include "base/text.h"
#include "fuse/map_text.h"
#include "fuse/mount_json.h"
#include "fuse/tree/opening.h"
#include "fuse/tree/parts.h"

namespace flatimg::flat::tree {

namespace {

using Json = nlohmann::ordered_json;

Json image_json(OpenImage& image) {
  const OpenImage::Facts facts = image.facts();
  Json json{{"format", facts.format}, {"open-files", facts.handles}, {"writers", facts.writers}};
  json.update(writing_json(facts.writable, facts.corruption));
  json["image"] = counters_json(facts.counters);
  return json;
}

}  // namespace

std::string stats_json(const Tree& tree) {
  Json images = Json::object();
  for (const auto& image : tree.images.all()) images[image->path()] = image_json(*image);
  Json stats{{"directory", tree.source},
             {"mountpoint", tree.mountpoint},
             {"pid", getpid()},
             {"open-files", tree.open_files.load()},
             {"nodes", tree.nodes.count()}};
  stats.update(requests_json(tree.counters));
  stats.update(Json{{"sandbox", sandbox_json(tree.confinement)}, {"open-images", images}});
  for (const auto& [path, why] : tree.images.last_failures()) stats["failed-closes"][path] = why;
  return as_text(stats);
}

Result<std::string> info_json(Tree& tree, const NodePtr& image) {
  TRY(const ImageInfo info, describe_node(tree, image));
  Json json = flat::image_json(info);
  if (const auto table = table_of(tree, image)) json["partition-table"] = partitions_json(*table);
  const auto opened = tree.images.find(image->key);
  if (opened && opened->facts().corruption) json["corrupt"] = true;
  json["mountpoint"] = tree.mountpoint;
  return as_text(json);
}

Result<std::string> map_json(Tree& tree, const NodePtr& image) {
  TRY(const auto opened, open_image_of(tree, image, Access::ReadOnly));
  auto text = [&]() -> Result<std::string> {
    const OpenImage::Use use(*opened);
    if (use.disk() == nullptr) return fail(ErrorKind::Io, "{}: is not open", shown(opened->path()));
    return map_as_json(*use.disk());
  }();
  tree.images.close(image->key, opened, Access::ReadOnly);
  return text;
}

std::string stats_json(Tree& tree, const NodePtr& image) {
  const auto opened = tree.images.find(image->key);
  Json json{{"filename", source_path(tree, *image)}, {"open", opened != nullptr}};
  if (opened) json.update(image_json(*opened));
  return as_text(json);
}

}  // namespace flatimg::flat::tree
