// What stat() says.
#include "fuse/attributes.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace flatimg::flat {
namespace {

struct stat image_with_mode(mode_t mode) {
  struct stat image {};
  image.st_mode = S_IFREG | mode;
  image.st_mtim = {1000, 5};
  return image;
}

mode_t flat_mode(mode_t image_mode, Attributes::Writing writing, const MountOptions& options = {}) {
  return Attributes(image_with_mode(image_mode), options, writing).flat_file(1_MiB, 0_B).st_mode;
}

TEST(Attributes, TheFlatFileHasThePermissionsOfTheImage) {
  EXPECT_EQ(flat_mode(0644, Attributes::Writing::Allowed), S_IFREG | 0644u);
  EXPECT_EQ(flat_mode(0600, Attributes::Writing::Allowed), S_IFREG | 0600u);
  EXPECT_EQ(flat_mode(07777, Attributes::Writing::Allowed), S_IFREG | 0666u);
}

TEST(Attributes, NobodyMayWriteToAnImageThatCannotBeWritten) {
  EXPECT_EQ(flat_mode(0644, Attributes::Writing::Refused), S_IFREG | 0444u);
  EXPECT_EQ(flat_mode(0660, Attributes::Writing::Refused), S_IFREG | 0440u);
}

TEST(Attributes, TheMounterOwnsIt) {
  const Attributes attributes(image_with_mode(0644), {}, Attributes::Writing::Allowed);
  EXPECT_EQ(attributes.flat_file(0_B, 0_B).st_uid, getuid());
  EXPECT_EQ(attributes.flat_file(0_B, 0_B).st_gid, getgid());
}

TEST(Attributes, OptionsSetOwnerAndMask) {
  MountOptions options;
  options.uid = 12;
  options.gid = 34;
  options.umask = 027;
  const Attributes attributes(image_with_mode(0666), options, Attributes::Writing::Allowed);
  const struct stat flat = attributes.flat_file(0_B, 0_B);
  EXPECT_EQ(flat.st_uid, 12u);
  EXPECT_EQ(flat.st_gid, 34u);
  EXPECT_EQ(flat.st_mode, S_IFREG | 0640u);
  EXPECT_EQ(attributes.directory(2).st_mode, S_IFDIR | 0750u);
  EXPECT_EQ(attributes.fact(1_B).st_mode, S_IFREG | 0440u);
}

TEST(Attributes, BlocksAreUnitsOf512BytesRoundedUp) {
  const Attributes attributes(image_with_mode(0644), {}, Attributes::Writing::Allowed);
  const struct stat flat = attributes.flat_file(1_GiB, 1025_B);
  EXPECT_EQ(flat.st_size, 1 << 30);
  EXPECT_EQ(flat.st_blocks, 3);
  EXPECT_EQ(flat.st_blksize, 64 << 10);
}

TEST(Attributes, TheTimeIsThatOfTheImageUntilTheFirstWrite) {
  Attributes attributes(image_with_mode(0644), {}, Attributes::Writing::Allowed);
  EXPECT_EQ(attributes.flat_file(0_B, 0_B).st_mtim.tv_sec, 1000);
  EXPECT_EQ(attributes.flat_file(0_B, 0_B).st_mtim.tv_nsec, 5);
  const std::int64_t before = now_in_nanoseconds();
  attributes.touch();
  EXPECT_GE(nanoseconds(attributes.flat_file(0_B, 0_B).st_mtim), before);
  attributes.set_write_time(77);
  EXPECT_EQ(nanoseconds(attributes.flat_file(0_B, 0_B).st_mtim), 77);
}

TEST(Attributes, TimesBefore1970SurviveTheirWord) {
  for (const timespec time : {timespec{-1, 999'999'999}, timespec{-5, 0}, timespec{0, 0}, timespec{5, 1}}) {
    const timespec back = as_timespec(nanoseconds(time));
    EXPECT_EQ(back.tv_sec, time.tv_sec);
    EXPECT_EQ(back.tv_nsec, time.tv_nsec);
  }
}

}  // namespace
}  // namespace flatimg::flat
