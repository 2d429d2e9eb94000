// Random operations on qcow images (version 1) that QEMU or we have made, against plain bytes; then QEMU reads the
// image and our check judges its tables.
//
// FLATIMG_SEED and FLATIMG_OPERATIONS choose other runs; the seed is printed with every failure.
#include "catalog/check_image.h"
#include "catalog/create_image.h"
#include "model/random_work.h"
#include "support/matchers.h"
#include "support/process.h"

namespace flatimg {
namespace {

using test::Succeeds;

struct Layout {
  std::string name;
  std::string made_by;  // shell, in the directory with base.raw and start.raw; "" for `ours`
  std::uint64_t size = 3 << 20;
  std::vector<std::pair<std::string, std::string>> ours = {};  // options of our own create
  bool backing = false;                                        // ours: over base.raw
  bool encrypted = false;
};
void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }

class Qcow1Model : public ::testing::TestWithParam<Layout>, protected test::RandomWork {
 protected:
  void SetUp() override {
    if (!test::has_program("qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
    write_random("start.raw", GetParam().size);
    write_random("base.raw", GetParam().size * 2 / 3 / 512 * 512);
    make_image();
    if (HasFatalFailure()) return;
    convert_with_qemu("model.raw");
    if (!HasFatalFailure()) load_model("model.raw");
  }

  void make_image() {
    const Layout& layout = GetParam();
    if (!layout.made_by.empty()) return must_run(layout.made_by);
    catalog::CreateRequest request;
    request.path = path("image");
    request.format = "qcow";
    request.size = ByteCount(layout.size);
    request.options = layout.ours;
    if (layout.backing) request.backing = "base.raw";
    ASSERT_THAT(catalog::create_image(request), Succeeds());
  }

  // QEMU's reading, as a raw file.
  void convert_with_qemu(const std::string& raw) {
    const std::string secret = " --object secret,id=s,data=abc --image-opts driver=qcow,encrypt.key-secret=s,";
    must_run("qemu-img convert -O raw" +
             (GetParam().encrypted ? secret + "file.filename=image " : std::string(" -f qcow image ")) + raw);
  }

  void judge() override {
    const auto checked = catalog::check_image({path("image"), std::nullopt, {}}, catalog::CheckDepth::Data, {});
    ASSERT_THAT(checked, Succeeds());
    EXPECT_EQ(checked->report.corruptions, 0u) << checked->report.sentences[0] << ", seed " << seed_;
    write("model.raw", *model_);
    convert_with_qemu("after.raw");
    must_run("cmp model.raw after.raw");
  }
};

TEST_P(Qcow1Model, AgreesWithPlainBytesAndWithQemu) { work_on("image"); }

const std::string kSecret = " --object secret,id=s,data=abc -o encrypt.format=aes,encrypt.key-secret=s ";

INSTANTIATE_TEST_SUITE_P(
    Layouts, Qcow1Model,
    ::testing::Values(
        Layout{"empty", "qemu-img create -q -f qcow image 3M"},
        Layout{"odd_size", "qemu-img create -q -f qcow image $((3145728 + 1536))", (3 << 20) + 1536},
        Layout{"data", "qemu-img convert -f raw -O qcow start.raw image"},
        // QEMU 7.2 writes all of a compressed qcow and exits with 1 nevertheless.
        Layout{"compressed",
               "{ qemu-img convert -c -f raw -O qcow start.raw image || true; } && "
               "qemu-img compare -f raw -F qcow start.raw image"},
        Layout{"overlay", "qemu-img create -q -f qcow -b base.raw -F raw image 3M"},
        Layout{"overlay_of_overlays",
               "qemu-img create -q -f qcow -b base.raw -F raw one 3M && qemu-io -f qcow -c 'write -P 9 10000 70000' "
               "one && "
               "qemu-img create -q -f qcow -b one -F qcow two 3M && qemu-io -f qcow -c 'write -P 8 50000 90000' two && "
               "qemu-img create -q -f qcow -b two -F qcow image 3M"},
        Layout{"encrypted", "qemu-img create -q -f qcow" + kSecret + "image 3M", 3 << 20, {}, false, true},
        Layout{"encrypted_data",
               "qemu-img convert -f raw -O qcow" + kSecret + "start.raw image",
               3 << 20,
               {},
               false,
               true},
        Layout{"ours", "", 3 << 20}, Layout{"ours_overlay", "", 3 << 20, {}, true},
        Layout{"xen_sparse", "", 5 << 20, {{"xen", "sparse"}}},
        Layout{"xen_overlay", "", 3 << 20, {{"xen", "sparse"}}, true},
        Layout{"xen_preallocated", "", (5 << 20) + 512, {{"xen", "preallocated"}}}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace flatimg
