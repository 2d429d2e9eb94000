// A virtual machine monitor that only takes raw: QEMU, told format=raw, boots from the flat file.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "mount/mounted_image.h"

namespace flatimg::test {
namespace {

// A boot sector that sends "FLAT" to the first serial port, then ends the machine through isa-debug-exit at 0xf4.
std::string boot_sector() {
  std::string sector;
  for (const char letter : std::string("FLAT\n")) {
    sector += std::string("\xba\xf8\x03", 3);   // mov dx, 0x3f8
    sector += std::string("\xb0", 1) + letter;  // mov al, letter
    sector += '\xee';                           // out dx, al
  }
  sector += std::string("\xb0\x21\xe6\xf4\xf4", 5);  // mov al, 0x21; out 0xf4, al; hlt
  sector.resize(510, '\0');
  return sector + "\x55\xaa";
}

TEST(VirtualMachine, BootsFromTheFlatFileAsRaw) {
  if (const auto why = why_no_mounts(); !why.empty()) GTEST_SKIP() << why;
  if (!has_program("qemu-system-x86_64")) GTEST_SKIP() << "qemu-system-x86_64 is not installed";
  TempDir dir;
  const std::string image = dir / "disk.qcow2";
  const std::string mountpoint = dir / "mnt";
  ::mkdir(mountpoint.c_str(), 0755);
  ASSERT_EQ(run({"qemu-img", "create", "-q", "-f", "qcow2", image, "16M"}).exit_code, 0);
  dir.write("boot", boot_sector());
  MountedImage mounted(image, mountpoint);
  ASSERT_TRUE(mounted.mounted());
  ASSERT_EQ(shell("dd if=" + (dir / "boot") + " of=" + mounted.flat() + " conv=notrunc status=none").exit_code, 0);
  const auto machine = shell(
      "timeout 60 qemu-system-x86_64 -accel tcg -display none -no-reboot -net none -serial stdio"
      " -device isa-debug-exit,iobase=0xf4,iosize=0x04 -drive format=raw,file=" +
      mounted.flat() + " || test $? = 67");  // 2 * 0x21 + 1
  EXPECT_EQ(machine.exit_code, 0) << machine.output;
  EXPECT_NE(machine.output.find("FLAT"), std::string::npos) << machine.output;
  mounted.unmount();
}

}  // namespace
}  // namespace flatimg::test
