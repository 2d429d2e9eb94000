// File systems on a loop device over a mount, through their lives: trees unpacked, deleted and trimmed, a snapshot of
// the disk taken meanwhile, unmounting and mounting again, growing. Their own checks find nothing, nor does QEMU's.
//
// FLATIMG_ROUNDS chooses how many cycles, in units of what is usual.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "mount/mounted_image.h"
#include "mount/scripts.h"
#include "support/figures.h"
#include "support/from_environment.h"

namespace flatimg::test {
namespace {

// $DEV is the device, $T where it is mounted.
struct Kind {
  std::string name;
  std::string check;   // of the device, not mounted
  std::string larger;  // to its device's end, while mounted but for what a kernel may deny
  std::string scrub = "true";
};

struct LifeOf {
  Kind kind;
  std::string image;  // options of qemu-img create
  std::string direct;
};
void PrintTo(const LifeOf& one, std::ostream* out) { *out << one.kind.name; }

class FileSystemLife : public ::testing::TestWithParam<LifeOf> {
 protected:
  void SetUp() override {
    if (const auto why = why_no_loop_devices(); !why.empty()) GTEST_SKIP() << why;
    const std::string make = "mkfs." + GetParam().kind.name;
    if (!has_program(make)) GTEST_SKIP() << make << " is not installed";
    if (shell("grep -qw " + GetParam().kind.name + " /proc/filesystems || modprobe " + GetParam().kind.name)
            .exit_code != 0) {
      GTEST_SKIP() << "this kernel has no " << GetParam().kind.name;
    }
    ::mkdir((dir_ / "mnt").c_str(), 0755);
    ::mkdir((dir_ / "tree").c_str(), 0755);
    expect_success("qemu-img create -q -f qcow2 " + GetParam().image + " " + image_ + " 400M; cd " +
                   dir_.path().string() + "; tar -C /usr/include -cf tree.tar linux asm-generic c++");
  }
  // Whatever happens in between, nothing stays mounted.
  void in_tree(const LoopDevice& loop, const std::string& script) const {
    expect_success(on(loop) + "mount -o noatime $DEV $T; trap 'mountpoint -q $T && umount $T' EXIT; " + script +
                   "; umount $T; " + GetParam().kind.check);
  }
  [[nodiscard]] std::string on(const LoopDevice& loop) const {
    return "cd " + dir_.path().string() + "; exec 2>&1; DEV=" + loop.path() + "; T=" + (dir_ / "tree") +
           "; O=/usr/include; ";
  }

  // One tree lives from cycle to cycle, and is read back behind each mount.
  void work(const MountedImage& mounted, const LoopDevice& loop, std::uint64_t cycle) {
    const std::string old = cycle == 0 ? "true" : "diff -r --no-dereference $O/linux tree/0/linux";
    in_tree(loop, old + "; rm -rf tree/" + std::to_string(cycle) + "; mkdir tree/" + std::to_string(cycle) +
                      " tree/gone; tar -C tree/" + std::to_string(cycle) +
                      " -xf tree.tar; tar -C tree/gone -xf tree.tar; sync; " + GetParam().kind.scrub +
                      "; $FLATIMG snapshot -d cycle" + std::to_string(cycle) + " " + mounted.flat() +
                      " || true; $FLATIMG snapshot -c cycle" + std::to_string(cycle) + " " + mounted.flat() +
                      "; rm -r tree/gone; sync; fstrim tree; diff -r --no-dereference $O/linux tree/" +
                      std::to_string(cycle) + "/linux");
  }

  // 32 MiB larger, beneath the loop device and the file system in it.
  void grow(const MountedImage& mounted, const LoopDevice& loop) const {
    in_tree(loop, "truncate -s +32M " + mounted.flat() + "; losetup -c $DEV; before=$(stat -f -c %b $T); " +
                      GetParam().kind.larger + "; test $(stat -f -c %b $T) -gt $before");
  }

  // The snapshots hold what was synced when they were taken, and can be deleted.
  void judge(std::uint64_t cycles) const {
    const std::string last = "cycle" + std::to_string((cycles - 1) % 2);
    expect_success("cd " + dir_.path().string() + "; exec 2>&1; qemu-img check -q disk.qcow2; qemu-img convert -l " +
                   last +
                   " -O raw disk.qcow2 then.raw; DEV=$(losetup -f --show then.raw); trap 'losetup -d $DEV' EXIT; "
                   "mount $DEV tree; diff -r --no-dereference /usr/include/linux tree/gone/linux || { umount tree; "
                   "exit 1; }; umount tree; " +
                   GetParam().kind.check);
    expect_success("cd " + dir_.path().string() + "; $FLATIMG snapshot -d " + last +
                   " disk.qcow2; qemu-img check -q disk.qcow2");
  }

  TempDir dir_;
  std::string image_ = dir_ / "disk.qcow2";
};

TEST_P(FileSystemLife, IsSoundFromFirstToLast) {
  const std::uint64_t cycles = 2 * from_environment("FLATIMG_ROUNDS", 1);
  const std::vector<std::string> direct{"--direct-io=" + GetParam().direct};
  for (std::uint64_t cycle = 0; cycle < cycles && !HasFailure(); ++cycle) {
    MountedImage mounted(image_, dir_ / "mnt", {"growable"});
    ASSERT_TRUE(mounted.mounted());
    {
      const LoopDevice loop(mounted.flat(), direct);
      ASSERT_FALSE(loop.path().empty());
      if (cycle == 0) expect_success(on(loop) + "mkfs." + GetParam().kind.name + " -q $DEV");
      work(mounted, loop, cycle % 2);
      if (cycle % 2 == 1) {
        grow(mounted, loop);
        in_tree(loop, "rm -r tree/1");
      }
    }
    mounted.unmount();
  }
  judge(cycles);
  add_figure("cycles of a file system on a loop device", cycles);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, FileSystemLife,
    ::testing::Values(LifeOf{{"ext4", "e2fsck -fn $DEV", "umount $T; e2fsck -fp $DEV; resize2fs $DEV; mount $DEV $T"},
                             "-o cluster_size=4k",
                             "off"},
                      LifeOf{{"xfs", "xfs_repair -n $DEV", "xfs_growfs $T"}, "", "on"},
                      LifeOf{{"btrfs", "btrfs check $DEV", "btrfs filesystem resize max $T", "btrfs scrub start -B $T"},
                             "-o extended_l2=on",
                             "on"}),
    [](const auto& param) { return param.param.kind.name; });

}  // namespace
}  // namespace flatimg::test
