#include "hostile/small_images.h"

#include <map>

#include "support/composite_builder.h"
#include "support/process.h"
#include "support/qcow1_builder.h"
#include "support/qcow2_builder.h"
#include "support/sparse_builder.h"
#include "support/temp_dir.h"
#include "support/zstd_builder.h"

namespace flatimg::test {

namespace {

using Images = std::vector<std::string>;

/// What was saved as the file `image` of a directory.
class Workshop {
 public:
  template <class Builder>
  void add(Builder& builder) {
    builder.save(dir_ / "image");
    images_.push_back(contents_of(dir_ / "image"));
  }
  void add_made_by(const std::string& command) {
    if (run({"sh", "-c", "cd " + dir_.path().string() + " && rm -f image && " + command}).exit_code != 0) return;
    images_.push_back(contents_of(dir_ / "image"));
  }
  [[nodiscard]] Images images() && { return std::move(images_); }

 private:
  TempDir dir_;
  Images images_;
};

Images qcow2_images() {
  Workshop made;
  Qcow2Builder image;
  for (const std::uint64_t cluster : {0u, 1u, 5u}) (void)image.add_data(cluster);
  image.add_snapshots(1);
  made.add(image);
  const std::string make = "seq 30000 > raw && qemu-img convert -q -f raw -O qcow2 ";
  made.add_made_by(make + "-o cluster_size=512 raw image && qemu-img snapshot -c s image");
  made.add_made_by(make + "-c -o cluster_size=4k,compression_type=zstd raw image");
  made.add_made_by(make + "-o cluster_size=16k,extended_l2=on,lazy_refcounts=on,refcount_bits=1 raw image");
  made.add_made_by(make + "-c -o cluster_size=4k raw image && qemu-img bitmap --add image b");
  return std::move(made).images();
}

Images qcow_images() {
  Workshop made;
  Qcow1Builder image;
  for (const std::uint64_t cluster : {0u, 3u}) (void)image.add_data(cluster);
  made.add(image);
  Qcow1Shape shape;
  shape.xen = true;
  Qcow1Builder xen(shape);
  made.add(xen);
  made.add_made_by("seq 30000 > raw && qemu-img convert -q -f raw -O qcow raw image");
  return std::move(made).images();
}

Images sparse_images() {
  SparseBuilder image;
  (void)image.raw(letters(8192, 1));
  (void)image.fill(7, 3);
  (void)image.dont_care(5);
  (void)image.crc32(image.checksum());
  return {image.bytes()};
}

Images zstd_images() {
  ZstdBuilder image;
  for (unsigned n = 0; n < 4; ++n) image.frame(std::string(3000, 'a') + letters(3000, n));
  Images images{image.bytes()};
  image.finish(ZstdBuilder::Checksums::InTable);
  images.push_back(image.bytes());
  return images;
}

Images composite_images() {
  CompositeBuilder image;
  image.version(2).length(12288).part({"a", 0, 1}).part({"b", 8192, 0});
  return {image.bytes()};
}

}  // namespace

std::vector<std::string> small_images(const std::string& format) {
  static const std::map<std::string, Images (*)()> makers{{"qcow2", qcow2_images},
                                                          {"qcow", qcow_images},
                                                          {"sparse", sparse_images},
                                                          {"zstd", zstd_images},
                                                          {"composite", composite_images}};
  return makers.at(format)();
}

}  // namespace flatimg::test
