#include "host/cache_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "support/matchers.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

using test::FailsWith;
using test::noise;
using test::Succeeds;

std::size_t names_in(const std::string& path) {
  const std::filesystem::directory_iterator names(path);
  return static_cast<std::size_t>(std::distance(begin(names), end(names)));
}

void keep_bytes(CacheDirectory& directory, const std::string& name, std::size_t count) {
  auto file = directory.begin();
  ASSERT_THAT(file, Succeeds());
  ASSERT_THAT((*file)->write(HostOffset(0), noise(count, 1)), Succeeds());
  ASSERT_THAT((*file)->barrier(), Succeeds());
  ASSERT_THAT(directory.keep(**file, name), Succeeds());
}

void set_age(const std::string& path, long seconds) {
  const timespec when{1'700'000'000 - seconds, 0};
  const std::array times{when, when};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times.data(), 0), 0);
}

TEST(CacheDirectory, IsMadeForItsOwnerAlone) {
  const test::TempDir dir;
  ASSERT_THAT(CacheDirectory::at(dir / "a/b/cache", 1_GiB), Succeeds());
  struct stat found {};
  ASSERT_EQ(::stat((dir / "a/b/cache").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777u, 0700u);
}

TEST(CacheDirectory, RefusesADirectoryThatOthersLookInto) {
  const test::TempDir dir;
  std::filesystem::create_directory(dir / "cache");
  std::filesystem::permissions(dir / "cache", std::filesystem::perms(0755));
  EXPECT_THAT(CacheDirectory::at(dir / "cache", 1_GiB), FailsWith(ErrorKind::Denied, "chmod 700"));
  std::filesystem::create_directory_symlink("elsewhere", dir / "link");
  EXPECT_FALSE(CacheDirectory::at(dir / "link", 1_GiB).has_value());
}

TEST(CacheDirectory, HasNoNameForWhatIsNotKept) {
  const test::TempDir dir;
  auto directory = CacheDirectory::at(dir / "cache", 1_GiB);
  ASSERT_THAT(directory, Succeeds());
  const auto file = directory->begin();
  ASSERT_THAT(file, Succeeds());
  ASSERT_THAT((*file)->write(HostOffset(0), noise(10, 1)), Succeeds());
  EXPECT_EQ(names_in(dir / "cache"), 0u);
}

TEST(CacheDirectory, FindsWhatWasKept) {
  const test::TempDir dir;
  auto directory = CacheDirectory::at(dir / "cache", 1_GiB);
  ASSERT_THAT(directory, Succeeds());
  keep_bytes(*directory, "one", 10000);
  keep_bytes(*directory, "one", 10000);  // somebody else was faster
  const auto found = directory->find("one");
  ASSERT_THAT(found, Succeeds());
  ASSERT_NE(*found, nullptr);
  std::vector<std::byte> bytes(10000);
  ASSERT_THAT((*found)->read(HostOffset(0), bytes), Succeeds());
  EXPECT_EQ(bytes, noise(10000, 1));
  EXPECT_EQ(directory->find("two").value(), nullptr);
}

TEST(CacheDirectory, GivesUpWhatWasNotUsedForLongest) {
  const test::TempDir dir;
  auto directory = CacheDirectory::at(dir / "cache", 100_KiB);
  ASSERT_THAT(directory, Succeeds());
  for (const char* name : {"old", "older", "used"}) keep_bytes(*directory, name, 30000);
  set_age(dir / "cache/old", 100);
  set_age(dir / "cache/older", 200);
  set_age(dir / "cache/used", 300);
  ASSERT_NE(directory->find("used").value(), nullptr);
  keep_bytes(*directory, "new", 30000);
  EXPECT_EQ(directory->find("older").value(), nullptr);
  for (const char* name : {"old", "used", "new"}) EXPECT_NE(directory->find(name).value(), nullptr) << name;
}

TEST(CacheDirectory, StampsChangeWithTheFile) {
  const test::TempDir dir;
  dir.write("file", "one");
  const auto stamp = [&] { return CacheDirectory::stamp_of(**open_host_file(dir / "file", Access::ReadOnly)).value(); };
  const std::string first = stamp();
  EXPECT_EQ(stamp(), first);
  set_age(dir / "file", 0);
  EXPECT_NE(stamp(), first);
}

}  // namespace
}  // namespace flatimg
