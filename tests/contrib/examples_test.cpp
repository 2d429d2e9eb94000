// The pages of contrib/examples: their commands do what the page says. A page is run as one script in a directory with
// sample images; what the commands of a block print must be the block `output` that follows it, where "..." stands for
// anything.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

namespace fs = std::filesystem;

const fs::path kExamples = FLATIMG_SOURCES "/contrib/examples";

struct Block {
  std::string commands;
  std::string output;
};

struct Page {
  bool for_ordinary_users = false;
  std::vector<Block> blocks;
};

std::string text_until_fence(std::istream& in) {
  std::string text;
  for (std::string line; std::getline(in, line) && line != "```";) text += line + "\n";
  return text;
}

/// Blocks that are run, each with what it is to print. A fence that is neither known nor excused is a failure.
Page read_page(const fs::path& path) {
  std::ifstream in(path);
  Page page;
  for (std::string line; std::getline(in, line);) {
    if (line == "<!-- run by an ordinary user -->") page.for_ordinary_users = true;
    if (!line.starts_with("```")) continue;
    const std::string text = text_until_fence(in);
    if (line == "```sh") {
      page.blocks.push_back({text, ""});
    } else if (line == "```output" && !page.blocks.empty()) {
      page.blocks.back().output = text;
    } else {
      EXPECT_TRUE(line == "```ini" || line.starts_with("```sh not run: ")) << path << ": " << line;
    }
  }
  return page;
}

/// Runs of blanks count as one, and none at the ends of lines.
std::string tidy(const std::string& text) {
  const std::string one = std::regex_replace(text, std::regex("[ \t]+"), " ");
  return std::regex_replace(one, std::regex("(^|\n) | (?=\n)"), "$1");
}

bool matches(const std::string& output, const std::string& expected) {
  const std::string literal = std::regex_replace(tidy(expected), std::regex(R"([.^$|()\[\]{}*+?\\])"), R"(\$&)");
  const std::string pattern = std::regex_replace(literal, std::regex(R"((\\\.){3})"), R"([\s\S]*)");
  return std::regex_match(tidy(output), std::regex(pattern));
}

class Example : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
    for (const char* program :
         {"sfdisk", "mkfs.ext4", "unshare", "setpriv", "fuse2fs", "file", "qemu-system-x86_64", "python3"}) {
      if (!has_program(program)) GTEST_SKIP() << program << " is not installed";
    }
    const auto made = shell("cd " + dir_.path().string() + "\n" + kSamples);
    ASSERT_EQ(made.exit_code, 0) << made.output;
    const auto namespaces = shell("cd " + dir_.path().string() + "; unshare -m bash -c '" + std::string(kPlace) + "'");
    if (namespaces.exit_code != 0) GTEST_SKIP() << "no mount namespace with an overlay: " << namespaces.output;
  }

  /// The whole page in one shell; output of block N goes to the file out.N.
  Finished run_page(const Page& page) {
    std::string script = "set -eu\n";
    for (std::size_t i = 0; i < page.blocks.size(); ++i) {
      script += "{\n" + page.blocks[i].commands + "} > ../out." + std::to_string(i) + " 2>&1\n";
    }
    dir_.write("page", script);
    dir_.write("as_user",
               "cd work; unset XDG_RUNTIME_DIR; export HOME=$PWD TMPDIR=$PWD; exec timeout 200 bash ../page");
    const std::string user = page.for_ordinary_users ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "";
    dir_.write("start", std::string(kPlace) + (page.for_ordinary_users ? "; chown -R nobody .\n" : "\n") +
                            std::string(kCleanUp) + user + "bash as_user\n");
    return shell("cd " + dir_.path().string() + "; unshare -m bash start");
  }

  // A disk with a GPT and one ext4 partition at 1 MiB, as an image, twice in a directory, and an empty mountpoint.
  static constexpr const char* kSamples = R"(
chmod 755 .; mkdir work sbin work/mnt work/images tree; echo hello > tree/hello.txt; cd work
truncate -s 64M disk.img; echo 'label: gpt
start=2048, type=L' | sfdisk -q disk.img
mkfs.ext4 -q -F -d ../tree -E offset=1048576 disk.img 62M
qemu-img convert -O qcow2 disk.img disk.qcow2; rm disk.img
cp disk.qcow2 images/a.qcow2; cp disk.qcow2 images/b.qcow2; echo some notes > images/notes.txt
for name in flatimg mount.flatimg umount.flatimg umount.fuse.flatimg; do ln -s $FLATIMG ../sbin/$name; done
mkdir ../system; echo ro.product.name=sample > ../system/build.prop; truncate -s 16M super.img
for place in 1048576 5242880; do mkfs.ext4 -q -F -d ../system -E offset=$place super.img 4M; done
python3 - <<END
import struct
name = lambda text: text.encode().ljust(36, bytes(1))
entries = name('system_a') + struct.pack('<4I', 1, 0, 1, 0) + name('vendor_a') + struct.pack('<4I', 1, 1, 1, 0)
extents = struct.pack('<QIQI', 8192, 0, 2048, 0) + struct.pack('<QIQI', 8192, 0, 10240, 0)
header = struct.pack('<IHHI', 0x414c5030, 10, 0, 128) + bytes(32) + struct.pack('<I', len(entries + extents)) + bytes(32)
header += struct.pack('<12I', 0, 2, 52, len(entries), 2, 24, 0, 0, 0, 0, 0, 0)
with open('super.img', 'r+b') as image: image.seek(12288); image.write(header + entries + extents)
END
$FLATIMG convert -q -O sparse super.img super.simg; rm super.img
mknod ../fuse c 10 229; chmod 666 ../fuse
)";
  // The program where mount(8) and everybody else finds it, and /dev/fuse as other machines have it.
  static constexpr const char* kPlace =
      "set -e; mount -t overlay -o lowerdir=$PWD/sbin:/usr/sbin none /usr/sbin; mount --bind fuse /dev/fuse; export "
      "PATH=$PATH:/usr/sbin";
  // What a page that failed has left: the mounts go with the namespace, when their helpers have ended.
  static constexpr const char* kCleanUp = R"(
clean_up() {
  for mountpoint in $(tac /proc/self/mountinfo | cut -d ' ' -f 5 | grep "^$PWD/"); do umount -il $mountpoint; done
  losetup -nlO NAME,BACK-FILE | while read device file; do case $file in $PWD/*) losetup -d $device ;; esac; done
}
trap clean_up EXIT
)";

  TempDir dir_;
};

TEST_P(Example, DoesWhatThePageSays) {
  const Page page = read_page(kExamples / (GetParam() + ".md"));
  ASSERT_FALSE(page.blocks.empty());
  const auto outcome = run_page(page);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  for (std::size_t i = 0; i < page.blocks.size(); ++i) {
    const std::string file = dir_ / ("out." + std::to_string(i));
    const std::string output = fs::exists(file) ? contents_of(file) : "(it was not run)";
    EXPECT_TRUE(matches(output, page.blocks[i].output)) << page.blocks[i].commands << "printed:\n" << output;
  }
}

std::vector<std::string> pages() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kExamples)) {
    const std::string name = entry.path().stem();
    if (entry.path().extension() == ".md" && name != "README") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Page, Example, ::testing::ValuesIn(pages()),
                         [](const auto& param) { return std::regex_replace(param.param, std::regex("-"), "_"); });

TEST(Examples, AreListedInTheirReadme) {
  const std::string readme = contents_of((kExamples / "README.md").string());
  for (const std::string& name : pages()) {
    EXPECT_NE(readme.find("](" + name + ".md)"), std::string::npos) << name;
  }
}

TEST(ExamplesRunner, ComparesWhatAPageSays) {
  EXPECT_TRUE(matches("a   b\nmore\nlines\nend\n", "a b\n...\nend\n"));
  EXPECT_TRUE(matches("", ""));
  EXPECT_FALSE(matches("a (b)\n", "a [b]\n"));
  EXPECT_FALSE(matches("unexpected\n", ""));
  EXPECT_FALSE(matches("a\nb\n", "a\n"));
}

}  // namespace
}  // namespace flatimg::test
