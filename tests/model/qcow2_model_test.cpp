// Random operations on images that qemu-img made, against plain bytes; then QEMU judges the image.
//
// FLATIMG_SEED and FLATIMG_OPERATIONS choose other runs; the seed is printed with every failure.
#include "image/report.h"
#include "model/random_work.h"
#include "support/process.h"

namespace flatimg {
namespace {

using test::DiskModel;

struct Layout {
  std::string name;
  std::string options;           // of qemu-img create -o
  std::uint64_t size = 3 << 20;  // bytes
  enum class Start { Empty, Data, Compressed, Overlay, OverlayShort, OverlayLong, Snapshot } start = Start::Empty;
};

void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }

class Qcow2Model : public ::testing::TestWithParam<Layout>, protected test::RandomWork {
 protected:
  void SetUp() override {
    if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
    make_image();
    if (HasFatalFailure()) return;
    must_run("qemu-img convert -O raw" + image_named("image.qcow2") + " model.raw");
    if (!HasFatalFailure()) load_model("model.raw");
  }

  static bool encrypted() { return GetParam().options.find("encrypt.") != std::string::npos; }
  static std::string secret() { return encrypted() ? " --object secret,id=s,data=abc" : ""; }
  // An image as the only one that a command of qemu-img reads.
  static std::string image_named(const std::string& name) {
    if (!encrypted()) return " " + name;
    return secret() + " --image-opts driver=qcow2,encrypt.key-secret=s,file.filename=" + name;
  }

  void make_image() {
    const Layout& layout = GetParam();
    const std::string size = std::to_string(layout.size);
    const std::string options = secret() + (layout.options.empty() ? "" : " -o " + layout.options);
    const auto create = [&](const std::string& more) { must_run("qemu-img create -q -f qcow2" + options + more); };
    switch (layout.start) {
      case Layout::Start::Empty:
        create(" image.qcow2 " + size);
        break;
      case Layout::Start::Data:
        write_random("start.raw", layout.size);
        must_run("qemu-img convert -f raw -O qcow2" + options + " start.raw image.qcow2");
        break;
      case Layout::Start::Compressed:
        write_random("start.raw", layout.size);
        must_run("qemu-img convert -c -f raw -O qcow2" + options + " start.raw image.qcow2");
        break;
      case Layout::Start::Overlay:
      case Layout::Start::OverlayShort:
      case Layout::Start::OverlayLong: {
        const std::uint64_t base = layout.start == Layout::Start::Overlay        ? layout.size
                                   : layout.start == Layout::Start::OverlayShort ? layout.size * 2 / 3 / 512 * 512
                                                                                 : layout.size * 2;
        write_random("base.raw", base);
        must_run("qemu-img convert -f raw -O qcow2 base.raw base.qcow2");
        create(" -b base.qcow2 -F qcow2 image.qcow2 " + size);
        break;
      }
      case Layout::Start::Snapshot:
        write_random("start.raw", layout.size);
        must_run("qemu-img convert -f raw -O qcow2" + options + " start.raw image.qcow2" +
                 " && qemu-img snapshot -c one" + image_named("image.qcow2"));
        must_run("cp image.qcow2 before.qcow2");
        break;
    }
  }

  // Mostly a little, sometimes to and from sizes that need another L1 table.
  void resize_somehow() {
    const bool has_snapshots = GetParam().start == Layout::Start::Snapshot || !snapshots_.empty();
    if (has_snapshots && GetParam().options.starts_with("compat=0.10")) return;
    const std::uint64_t most = GetParam().size * 3;
    const std::uint64_t now = model_->size().value();
    const std::uint64_t size = random_() % 4 == 0 ? random_() % most : now - now / 8 + random_() % (now / 4 + 1);
    const ByteCount wanted = align_up(ByteCount(std::clamp<std::uint64_t>(size, 65536, most)), 512_B);
    const auto resized = disk_->resize(wanted);
    ASSERT_TRUE(resized) << resized.error().text;
    ASSERT_EQ(disk_->size(), wanted);
    model_->resize(wanted);
  }

  [[nodiscard]] bool may_have_snapshots() const {
    return GetParam().options.find("data_file") == std::string::npos && GetParam().options != "refcount_bits=1";
  }

  // At most two of our own, beside the one that the image began with: the counters of some images end at three.
  void snapshot_somehow() {
    if (snapshots_.size() < 2 && random_() % 2 == 0) {
      SnapshotInfo wanted;
      wanted.name = "s" + std::to_string(random_());
      const auto taken = disk_->create_snapshot(wanted);
      if (!taken && GetParam().options.find("refcount_bits=2") != std::string::npos) {
        ASSERT_EQ(taken.error().kind, ErrorKind::Limit) << taken.error().text;
        return;
      }
      ASSERT_TRUE(taken) << taken.error().text << ", seed " << seed_;
      snapshots_.emplace_back(wanted.name, *model_);
      return;
    }
    if (snapshots_.empty()) return;
    const auto chosen = snapshots_.begin() + static_cast<std::ptrdiff_t>(random_() % snapshots_.size());
    if (random_() % 2 == 0) {
      const auto applied = disk_->apply_snapshot(chosen->first);
      ASSERT_TRUE(applied) << applied.error().text << ", seed " << seed_;
      model_.emplace(chosen->second);
      ASSERT_EQ(disk_->size(), model_->size());
      return;
    }
    const auto gone = disk_->delete_snapshot(chosen->first);
    ASSERT_TRUE(gone) << gone.error().text << ", seed " << seed_;
    snapshots_.erase(chosen);
  }

  void operate() override {
    if (random_() % 25 != 0) return one_operation();
    may_have_snapshots() && random_() % 2 == 0 ? snapshot_somehow() : resize_somehow();
  }

  void judge() override {
    must_run("qemu-img check" + image_named("image.qcow2"));
    write("model.raw", *model_);
    must_run("qemu-img convert -O raw" + image_named("image.qcow2") + " after.raw && cmp model.raw after.raw");
    for (const auto& [name, content] : snapshots_) expect_snapshot(name, content);
    if (GetParam().start == Layout::Start::Snapshot) {
      must_run("cp image.qcow2 after.qcow2 && qemu-img snapshot -a one" + image_named("after.qcow2") +
               " && qemu-img check" + image_named("after.qcow2") + " && qemu-img convert -O raw" +
               image_named("before.qcow2") + " before.raw && qemu-img convert -O raw" + image_named("after.qcow2") +
               " after.raw && cmp before.raw after.raw");
    }
  }

  // QEMU applies it to a copy. With counters of two bits it cannot, because it raises before it lowers; there it reads
  // the snapshot, as if it were as large as the disk is today.
  void expect_snapshot(const std::string& name, const DiskModel& content) {
    write("snapshot.raw", content);
    if (GetParam().options.find("refcount_bits=2") != std::string::npos) {
      must_run("qemu-img convert -l " + name + " -O raw image.qcow2 after.raw && " +
               "cmp -n $(stat -c %s after.raw snapshot.raw | sort -n | head -n 1) after.raw snapshot.raw");
      return;
    }
    must_run("cp image.qcow2 after.qcow2 && qemu-img snapshot -a " + name + image_named("after.qcow2") +
             " && qemu-img check" + image_named("after.qcow2") + " && qemu-img convert -O raw" +
             image_named("after.qcow2") + " after.raw && cmp after.raw snapshot.raw");
  }

  std::vector<std::pair<std::string, DiskModel>> snapshots_;
};

TEST_P(Qcow2Model, AgreesWithPlainBytesAndWithQemu) { work_on("image.qcow2"); }

using S = Layout::Start;

const std::string kLuks = ",encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
const std::string kAes = ",encrypt.format=aes,encrypt.key-secret=s";

INSTANTIATE_TEST_SUITE_P(
    Layouts, Qcow2Model,
    ::testing::Values(Layout{"default", "", 3 << 20, S::Empty}, Layout{"odd_size", "", (3 << 20) + 1536, S::Empty},
                      Layout{"v2", "compat=0.10", 3 << 20, S::Data},
                      Layout{"v2_overlay", "compat=0.10", 3 << 20, S::Overlay},
                      Layout{"v2_compressed", "compat=0.10", 3 << 20, S::Compressed},
                      Layout{"v2_snapshot", "compat=0.10", 3 << 20, S::Snapshot},
                      Layout{"clusters_512", "cluster_size=512", (3 << 20) + 512, S::Empty},
                      Layout{"clusters_512_overlay", "cluster_size=512", 1 << 20, S::Overlay},
                      Layout{"clusters_512_compressed", "cluster_size=512", 1 << 20, S::Compressed},
                      Layout{"clusters_1k_refcount_64", "cluster_size=1k,refcount_bits=64", 2 << 20, S::Data},
                      Layout{"clusters_4k", "cluster_size=4k", 3 << 20, S::Data},
                      Layout{"clusters_2m", "cluster_size=2M", 33 << 20, S::Data},
                      Layout{"clusters_2m_overlay", "cluster_size=2M", 9 << 20, S::OverlayShort},
                      Layout{"refcount_1", "refcount_bits=1", 3 << 20, S::Data},
                      Layout{"refcount_2", "refcount_bits=2", 3 << 20, S::Snapshot},
                      Layout{"refcount_4", "refcount_bits=4,cluster_size=4k", 3 << 20, S::Snapshot},
                      Layout{"refcount_8", "refcount_bits=8", 3 << 20, S::Compressed},
                      Layout{"refcount_32", "refcount_bits=32", 3 << 20, S::Data},
                      Layout{"refcount_64", "refcount_bits=64", 3 << 20, S::Compressed},
                      Layout{"compressed", "", 5 << 20, S::Compressed},
                      Layout{"compressed_zstd", "compression_type=zstd", 5 << 20, S::Compressed},
                      Layout{"compressed_2m", "cluster_size=2M", 9 << 20, S::Compressed},
                      Layout{"extended", "extended_l2=on", 3 << 20, S::Data},
                      Layout{"extended_empty", "extended_l2=on", (3 << 20) + 1024, S::Empty},
                      Layout{"extended_16k", "extended_l2=on,cluster_size=16k", 3 << 20, S::Overlay},
                      Layout{"extended_compressed", "extended_l2=on", 3 << 20, S::Compressed},
                      Layout{"extended_snapshot", "extended_l2=on", 3 << 20, S::Snapshot},
                      Layout{"extended_overlay_short", "extended_l2=on,cluster_size=2M", 7 << 20, S::OverlayShort},
                      Layout{"overlay", "", 3 << 20, S::Overlay}, Layout{"overlay_short", "", 3 << 20, S::OverlayShort},
                      Layout{"overlay_long", "cluster_size=4k", 3 << 20, S::OverlayLong},
                      Layout{"snapshot", "", 3 << 20, S::Snapshot},
                      Layout{"snapshot_512", "cluster_size=512", 1 << 20, S::Snapshot},
                      Layout{"lazy", "lazy_refcounts=on", 3 << 20, S::Data},
                      Layout{"data_file", "data_file=data.raw", 3 << 20, S::Empty},
                      Layout{"data_file_start", "data_file=data.raw", 3 << 20, S::Data},
                      Layout{"data_file_raw", "data_file=data.raw,data_file_raw=on", 3 << 20, S::Empty},
                      Layout{"data_file_extended", "data_file=data.raw,extended_l2=on", 3 << 20, S::Empty},
                      Layout{"data_file_overlay", "data_file=data.raw", 3 << 20, S::Overlay},
                      Layout{"preallocated_metadata", "preallocation=metadata", 3 << 20, S::Empty},
                      Layout{"preallocated_full", "preallocation=full", 3 << 20, S::Empty},
                      Layout{"preallocated_extended", "preallocation=metadata,extended_l2=on", 3 << 20, S::Empty},
                      Layout{"aes_64k", "cluster_size=64k" + kAes, (3 << 20) + 1536, S::Empty},
                      Layout{"luks_data", "cluster_size=4k" + kLuks, 3 << 20, S::Data},
                      Layout{"luks_512", "cluster_size=512" + kLuks, 1 << 20, S::Data},
                      Layout{"aes_2m", "cluster_size=2M" + kAes, 9 << 20, S::Data},
                      Layout{"aes_32k", "cluster_size=32k" + kAes, 2 << 20, S::Data},
                      Layout{"aes_v2", "compat=0.10" + kAes, 3 << 20, S::Data},
                      Layout{"aes_v2_overlay", "compat=0.10" + kAes, 3 << 20, S::Overlay},
                      Layout{"luks_overlay", "cluster_size=16k" + kLuks, 3 << 20, S::OverlayShort},
                      Layout{"luks_extended", "extended_l2=on,cluster_size=16k" + kLuks, 3 << 20, S::Overlay},
                      Layout{"aes_data_file", "data_file=data.raw" + kAes, 3 << 20, S::Empty},
                      Layout{"luks_snapshot", "cluster_size=4k" + kLuks, 3 << 20, S::Snapshot},
                      Layout{"aes_preallocated", "preallocation=metadata" + kAes, 3 << 20, S::Empty},
                      Layout{"aes", "cluster_size=64k" + kAes, (3 << 20) + 1536, S::Data},
                      Layout{"aes_512", "cluster_size=512" + kAes, 1 << 20, S::Data},
                      Layout{"aes_snapshot", "cluster_size=4k" + kAes, 3 << 20, S::Snapshot},
                      Layout{"aes_overlay_extended", "extended_l2=on" + kAes, 3 << 20, S::OverlayLong}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
