#include "host/replacement.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "host/file_lock.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

using test::TempDir;

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}
std::size_t files_in(const TempDir& dir) {
  const std::filesystem::directory_iterator files(dir.path());
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

TEST(Replacement, TakesThePlaceOfNothing) {
  const TempDir dir;
  auto replacement = Replacement::of(dir / "new");
  ASSERT_TRUE(replacement) << replacement.error().text;
  write(replacement->building_site(), "all");
  EXPECT_FALSE(std::filesystem::exists(dir / "new"));
  ASSERT_TRUE(replacement->take_place());
  EXPECT_EQ(text_of(dir / "new"), "all");
  EXPECT_EQ(files_in(dir), 1u);
}

TEST(Replacement, TakesThePlaceOfAFileWithItsMode) {
  const TempDir dir;
  write(dir / "old", "before");
  ASSERT_EQ(::chmod((dir / "old").c_str(), 0640), 0);
  auto replacement = Replacement::of(dir / "old");
  ASSERT_TRUE(replacement) << replacement.error().text;
  write(replacement->building_site(), "after");
  EXPECT_EQ(text_of(dir / "old"), "before");
  ASSERT_TRUE(replacement->take_place());
  EXPECT_EQ(text_of(dir / "old"), "after");
  struct stat now {};
  ASSERT_EQ(::stat((dir / "old").c_str(), &now), 0);
  EXPECT_EQ(now.st_mode & 07777, 0640u);
}

TEST(Replacement, ThatIsGivenUpLeavesNothing) {
  const TempDir dir;
  write(dir / "old", "before");
  {
    const auto replacement = Replacement::of(dir / "old");
    ASSERT_TRUE(replacement);
    write(replacement->building_site(), "half");
    EXPECT_EQ(files_in(dir), 2u);
  }
  EXPECT_EQ(text_of(dir / "old"), "before");
  EXPECT_EQ(files_in(dir), 1u);
}

TEST(Replacement, FollowsLinks) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "there");
  std::filesystem::create_symlink("there/file", dir / "link");
  for (const char* text : {"first", "second"}) {  // of a link that leads to nothing, too
    auto replacement = Replacement::of(dir / "link");
    ASSERT_TRUE(replacement) << replacement.error().text;
    write(replacement->building_site(), text);
    ASSERT_TRUE(replacement->take_place());
    EXPECT_EQ(text_of(dir / "there/file"), text);
  }
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link"));
}

TEST(Replacement, OfAFileThatIsInUseIsRefused) {
  const TempDir dir;
  write(dir / "old", "before");
  const auto user = open_host_file(dir / "old", Access::ReadOnly);
  ASSERT_TRUE(user);
  ASSERT_TRUE(lock_image(**user, LockAs::Reader));
  const auto replacement = Replacement::of(dir / "old");
  ASSERT_FALSE(replacement);
  EXPECT_EQ(replacement.error().kind, ErrorKind::Busy);
}

TEST(Replacement, IsForFilesOnly) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "directory");
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  for (const char* name : {"directory", "fifo"}) {
    const auto replacement = Replacement::of(dir / name);
    ASSERT_FALSE(replacement) << name;
    EXPECT_EQ(replacement.error().kind, ErrorKind::BadUsage);
  }
  EXPECT_EQ(Replacement::of(dir / "absent/file").error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace flatimg
