// A directory of images: what appears, what passes through, what is refused.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "mount/mounted_tree.h"

namespace flatimg::test {
namespace {

using Tree = MountedTree;

TEST_F(Tree, ImagesAppearFlatAndAllElseAsItIs) {
  make_image("disk.qcow2");
  make_image("deep/other.img", "2", "3M");
  expect_success("cd " + source_ +
                 "; echo notes > notes.txt; dd if=/dev/urandom of=disk.raw bs=64k count=3 status=none; " +
                 "ln -s notes.txt link; mkfifo fifo; chmod 640 notes.txt");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success(
      "cd " + flat_ + "; test $(stat -c %s disk.qcow2) = 16777216; test $(stat -c %s deep/other.img) = 3145728; " +
      "cmp notes.txt " + source_ + "/notes.txt; cmp disk.raw " + source_ + "/disk.raw; " +
      "test $(readlink link) = notes.txt; cat link | grep -q notes; test -p fifo; test $(stat -c %a notes.txt) = 640");
  expect_success("for name in disk.qcow2 deep/other.img; do qemu-img convert -O raw " + source_ + "/$name " +
                 (dir_ / "expected") + "; cmp " + flat_ + "/$name " + (dir_ / "expected") + "; done");
  EXPECT_EQ(run({"ls", "-A", flat_}).output, "deep\ndisk.qcow2\ndisk.raw\nfifo\nlink\nnotes.txt\n");
  mounted.unmount();
}

TEST_F(Tree, NumbersAreThoseOfTheFilesAndHardLinksAreOneFile) {
  make_image("disk.qcow2");
  expect_success("ln " + source_ + "/disk.qcow2 " + source_ + "/deep/same.qcow2");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("test $(stat -c %i:%h " + source_ + "/disk.qcow2) = $(stat -c %i:%h " + flat_ + "/disk.qcow2); " +
                 "test $(stat -c %i " + flat_ + "/deep/same.qcow2) = $(stat -c %i " + flat_ + "/disk.qcow2); " +
                 "test $(ls -i " + flat_ + " | awk '/disk/{print $1}') = $(stat -c %i " + source_ + "/disk.qcow2)");
  expect_success("exec 3<> " + flat_ + "/disk.qcow2; exec 4<> " + flat_ + "/deep/same.qcow2; echo hello >&3; " +
                 "head -c 5 <&4 | grep -q hello");
  mounted.unmount();
}

TEST_F(Tree, WhatIsWrittenIsInTheImage) {
  const std::string image = make_image("disk.qcow2");
  const std::string before = contents_of(image);
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("dd if=/dev/urandom of=" + (dir_ / "data") + " bs=1M count=5 status=none; dd if=" + (dir_ / "data") +
                 " of=" + flat_ + "/disk.qcow2 bs=300k seek=3 conv=notrunc,fsync status=none; cp " + flat_ +
                 "/disk.qcow2 " + (dir_ / "expected"));
  wait_until_closed();
  expect_success("qemu-img check -q " + image + "; qemu-img compare -q -f qcow2 -F raw " + image + " " +
                 (dir_ / "expected"));
  mounted.unmount();
  EXPECT_NE(contents_of(image), before);
}

TEST_F(Tree, ABrokenImageShowsTheFileAndCannotBeOpened) {
  const std::string image = make_image("disk.qcow2");
  dir_.write("source/broken.qcow2", contents_of(image).substr(0, 60));
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("test $(stat -c %s " + flat_ + "/broken.qcow2) = 60");
  expect_failure("cat " + flat_ + "/broken.qcow2", "Input/output error");
  expect_success("rm " + flat_ + "/broken.qcow2; test ! -e " + source_ + "/broken.qcow2");
  mounted.unmount();
}

TEST_F(Tree, ZstdFilesWithoutSeekTablesAndShortFilesPassThrough) {
  expect_success("cd " + source_ + "; seq 100000 | zstd -q > log.zst; printf 'QFI\\xfb' > four; : > empty");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("cd " + flat_ + "; for name in log.zst four empty; do cmp $name " + source_ + "/$name; done");
  mounted.unmount();
}

TEST_F(Tree, ChangesUnderneathAppear) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_failure("stat " + flat_ + "/new.qcow2", "No such file");
  make_image("new.qcow2");
  expect_success("test $(stat -c %s " + flat_ + "/new.qcow2) = 16777216");
  expect_success("echo one > " + source_ + "/text; grep -q one " + flat_ + "/text; echo two, and longer > " + source_ +
                 "/text; grep -q longer " + flat_ + "/text; echo end >> " + source_ + "/text; grep -q end " + flat_ +
                 "/text; printf 'TWO' | dd of=" + source_ + "/text conv=notrunc status=none; grep -q TWO, " + flat_ +
                 "/text");
  expect_success("mv " + source_ + "/new.qcow2 " + source_ + "/deep/moved; test ! -e " + flat_ + "/new.qcow2; " +
                 "test $(stat -c %s " + flat_ + "/deep/moved) = 16777216");
  expect_success("cp " + source_ + "/deep/moved " + source_ + "/text; test $(stat -c %s " + flat_ +
                 "/text) = 16777216; rm " + source_ + "/text; test ! -e " + flat_ + "/text");
  expect_success("qemu-img resize -q " + source_ + "/deep/moved 20M; test $(wc -c < " + flat_ +
                 "/deep/moved) = 20971520");
  expect_success("mkdir " + source_ + "/other; touch " + source_ + "/other/inside; ls " + flat_ +
                 "/deep > /dev/null; mv " + source_ + "/deep " + source_ + "/gone; mv " + source_ + "/other " +
                 source_ + "/deep; ls " + flat_ + "/deep | grep -q inside");
  mounted.unmount();
}

TEST_F(Tree, AnImageInUseElsewhereIsBusy) {
  const std::string image = make_image("disk.qcow2");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  {
    Conversation holder({"qemu-io", "-f", "qcow2", image});
    holder.say("read 0 512");
    holder.read_until("ops");
    expect_failure("head -c 1 " + flat_ + "/disk.qcow2", "busy");
    holder.finish();
  }
  Conversation reader({"bash", "-c", "exec 3< " + flat_ + "/disk.qcow2; echo open; read line"});
  reader.read_until("open");
  expect_success("qemu-io -r -f qcow2 -c 'read 0 512' " + image);  // readers share
  expect_failure("qemu-io -f qcow2 -c 'read 0 512' " + image, "lock");
  {
    Conversation writer({"bash", "-c", "exec 3<> " + flat_ + "/disk.qcow2; echo open; read line; head -c 5 <&3"});
    writer.read_until("open");
    expect_failure("qemu-io -r -f qcow2 -c 'read 0 512' " + image, "lock");
    writer.say("");
    EXPECT_EQ(writer.finish().output, std::string(5, '\1'));
  }
  reader.finish();
  wait_until_closed();
  expect_success("qemu-io -f qcow2 -c 'read 0 512' " + image);
  mounted.unmount();
}

TEST_F(Tree, AReaderGoesOnWhenAWriterComes) {
  make_image("disk.qcow2");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  Conversation reader({"bash", "-c", "exec 3< " + flat_ + "/disk.qcow2; echo open; read line; head -c 5 <&3"});
  reader.read_until("open");
  expect_success("echo hello | dd of=" + flat_ + "/disk.qcow2 conv=notrunc status=none");
  reader.say("");
  EXPECT_EQ(reader.finish().output, "hello");
  mounted.unmount();
}

TEST_F(Tree, FilesAndNamesPassThrough) {
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const std::string in_mount = "set -e; cd " + flat_ + "; ";
  expect_success(in_mount + "echo text > file; echo more >> file; test \"$(cat file)\" = \"$(printf 'text\\nmore')\"");
  expect_success(in_mount +
                 "mkdir -p a/b; mv file a/b/file; ln a/b/file hard; ln -s hard soft; test $(stat -c %h hard) = 2");
  expect_success(in_mount + "chmod 600 hard; touch -d '2001-02-03 04:05:06 UTC' hard; chown 12:34 hard");
  expect_success(
      in_mount + "mkfifo pipe; rm a/b/file; mkdir empty; rmdir empty; fallocate -l 100k space; " +
      "dd if=/dev/zero of=sparse bs=1 count=1 seek=1M status=none; echo abcdef > short; truncate -s 3 short");
  expect_failure(in_mount + "mknod device c 1 3", "not permitted");
  expect_failure(in_mount + "mkdir .flatimg", "exists");
  expect_failure(in_mount + "rmdir a", "not empty");
  const std::string underneath = "cd " + source_ + "; ";
  expect_success(underneath +
                 "test \"$(stat -c %a:%u:%g:%Y hard)\" = 600:12:34:981173106; test $(readlink soft) = hard");
  expect_success(underneath + "test -p pipe; test ! -e device; test ! -e empty; test $(stat -c %s space) = 102400");
  expect_success(underneath +
                 "test $(stat -c %s sparse) = 1048577; test $(stat -c %b sparse) -lt 100; test $(cat short) = abc");
  mounted.unmount();
}

TEST_F(Tree, ATreeIsCopiedThroughIt) {
  expect_success("cp -r " + std::string(FLATIMG_BUILD_TREE) + "/../../fuse " + source_ +
                 "/code 2>/dev/null || cp -r /etc/apt " + source_ + "/code; chmod -R u+w " + source_ + "/code");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("cp -a " + flat_ + "/code " + flat_ + "/copy; diff -r " + source_ + "/code " + source_ + "/copy; " +
                 "tar -C " + flat_ + " -c copy | tar -C " + (dir_ / "") + " -x; diff -r " + (dir_ / "copy") + " " +
                 source_ + "/code; rm -r " + flat_ + "/copy; test ! -e " + source_ + "/copy");
  mounted.unmount();
}

TEST_F(Tree, WhatIsOpenOutlivesItsName) {
  const std::string image = make_image("disk.qcow2");
  expect_success("echo text > " + source_ + "/file; ln " + image + " " + (dir_ / "kept.qcow2"));
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  const std::string holding = "cd " + flat_ + "; exec 3<> disk.qcow2 4<> file; rm disk.qcow2 file; ";
  expect_success(
      holding + "echo hello >&3; test $(stat -L -c %s /proc/self/fd/3) = 16777216; " +
      "head -c 4 <&4 | grep -q text; chmod 600 /proc/self/fd/4; test $(stat -L -c %a:%h /proc/self/fd/4) = 600:0");
  wait_until_closed();
  expect_success("qemu-img check -q " + (dir_ / "kept.qcow2") + "; qemu-io -r -c 'read -v 0 16' " +
                 (dir_ / "kept.qcow2") + " | grep -q hello");
  mounted.unmount();
}

TEST_F(Tree, AnImageThatIsRenamedWhileOpenGoesOn) {
  const std::string image = make_image("disk.qcow2");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("cd " + flat_ +
                 "; exec 3<> disk.qcow2; mv disk.qcow2 deep/new; echo hello >&3; head -c 5 deep/new | grep -q hello");
  wait_until_closed();
  expect_success("qemu-img check -q " + source_ + "/deep/new");
  mounted.unmount();
}

TEST_F(Tree, TruncationOfADiskIsIgnoredOnOpenAndRefusedOtherwise) {
  make_image("disk.qcow2");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_success("echo hello > " + flat_ + "/disk.qcow2; test $(stat -c %s " + flat_ + "/disk.qcow2) = 16777216");
  expect_failure("truncate -s 1M " + flat_ + "/disk.qcow2", "not permitted");
  mounted.unmount();
  MountedImage growable(source_, flat_, {"growable"});
  expect_success("truncate -s 32M " + flat_ + "/disk.qcow2; test $(stat -c %s " + flat_ + "/disk.qcow2) = 33554432");
  wait_until_closed();
  expect_success("qemu-img info " + source_ + "/disk.qcow2 | grep -q 33554432");
  growable.unmount();
}

TEST_F(Tree, WritesBeyondTheEndAreLackOfSpace) {
  make_image("disk.qcow2", "1", "1M");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_failure("dd if=/dev/zero of=" + flat_ + "/disk.qcow2 bs=300k count=8 conv=notrunc", "No space left");
  expect_success("test $(stat -c %s " + flat_ + "/disk.qcow2) = 1048576");
  mounted.unmount();
}

TEST_F(Tree, ARawDiskCannotBeTurnedIntoAnImageByItsGuest) {
  const std::string image = make_image("disk.qcow2");
  expect_success("truncate -s 4M " + source_ + "/disk.raw");
  MountedImage mounted(source_, flat_);
  ASSERT_TRUE(mounted.mounted());
  expect_failure("dd if=" + image + " of=" + flat_ + "/disk.raw conv=notrunc bs=64k", "not permitted");
  expect_failure("printf QF | dd of=" + flat_ + "/disk.raw conv=notrunc status=none; printf 'I\\xfb' | dd of=" + flat_ +
                     "/disk.raw conv=notrunc bs=1 seek=2",
                 "not permitted");
  expect_success("echo fine | dd of=" + flat_ + "/disk.raw conv=notrunc status=none");
  expect_success("cp " + image + " " + flat_ + "/copy.qcow2; cmp " + image + " " + source_ + "/copy.qcow2; cp " +
                 image + " " + flat_ + "/disk.raw; cmp " + image + " " + source_ + "/disk.raw; cmp " + flat_ +
                 "/disk.raw " + flat_ + "/copy.qcow2");
  mounted.unmount();
}

TEST_F(Tree, TheSuffixIsPutBehindTheNamesOfImagesOnly) {
  make_image("disk.qcow2");
  make_image("taken.qcow2");
  expect_success("echo text > " + source_ + "/notes; echo mine > " + source_ + "/taken.qcow2.raw");
  MountedImage mounted(source_, flat_, {"suffix=.raw"});
  ASSERT_TRUE(mounted.mounted());
  EXPECT_EQ(run({"ls", flat_}).output, "deep\ndisk.qcow2.raw\nnotes\ntaken.qcow2\ntaken.qcow2.raw\n");
  const std::string in_mount = "cd " + flat_ + "; ";
  expect_success(in_mount + "test $(stat -c %s disk.qcow2.raw) = 16777216; test ! -e disk.qcow2");
  expect_success(in_mount + "test $(stat -c %s taken.qcow2) = 16777216; grep -q mine taken.qcow2.raw");
  expect_failure(in_mount + "mv disk.qcow2.raw plain", "not permitted");
  expect_failure(in_mount + "ln disk.qcow2.raw plain", "not permitted");
  expect_success(in_mount + "ln disk.qcow2.raw second.raw; test -e " + source_ + "/second; rm second.raw");
  expect_success(in_mount + "mv disk.qcow2.raw new.raw; test -e new.raw; test -e " + source_ + "/new");
  expect_success(in_mount + "rm new.raw; test ! -e " + source_ + "/new");
  mounted.unmount();
}

TEST_F(Tree, AReadOnlyMountWritesNothing) {
  const std::string image = make_image("disk.qcow2");
  expect_success("echo text > " + source_ + "/notes");
  const std::string before = contents_of(image);
  MountedImage mounted(source_, flat_, {"ro"});
  ASSERT_TRUE(mounted.mounted());
  expect_failure("echo x > " + flat_ + "/notes", "Read-only");
  expect_failure("echo x | dd conv=notrunc of=" + flat_ + "/disk.qcow2", "Read-only");
  expect_failure("touch " + flat_ + "/new", "Read-only");
  expect_success("cat " + flat_ + "/disk.qcow2 > /dev/null");
  mounted.unmount();
  EXPECT_EQ(contents_of(image), before);
}

TEST_F(Tree, WhatMakesNoSenseIsRefusedInOneLine) {
  std::filesystem::create_directory(source_ + "/inside");
  const std::string file = dir_.write("file", "");
  const auto refused = [&](const std::string& options, const std::string& mountpoint, const std::string& words) {
    const auto outcome = flatimg({"mount", "-o", options, source_, mountpoint});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.output.find(words), std::string::npos) << outcome.output;
    EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
    EXPECT_NE(run({"mountpoint", "-q", mountpoint}).exit_code, 0);
  };
  refused("rw", file, "on a directory");
  refused("rw", source_ + "/inside", "contain itself");
  refused("format=raw", flat_, "format");
  refused("snapshot=1", flat_, "snapshot");
  refused("backing=x", flat_, "backing");
  refused("overlay=" + source_ + "/deep", flat_, "overlay");
  refused("overlay=" + file, flat_, "overlay");
}

}  // namespace
}  // namespace flatimg::test
