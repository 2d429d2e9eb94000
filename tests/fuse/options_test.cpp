// -o lists: every word of the contract, the words of mount(8), and what is said about the rest.
#include "fuse/options.h"

#include <gmock/gmock.h>

namespace flatimg::flat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

MountOptions parsed(const std::vector<std::string>& lists) {
  auto options = parse_options(lists, UnknownOption::Refuse);
  EXPECT_TRUE(options) << (options ? "" : options.error().text);
  return options ? *options : MountOptions();
}

Error refused(const std::string& list) {
  const auto options = parse_options({list}, UnknownOption::Refuse);
  EXPECT_FALSE(options) << list;
  return options ? Error() : options.error();
}

TEST(Options, HaveTheDefaultsOfTheContract) {
  const MountOptions options = parsed({});
  EXPECT_EQ(options.format, std::nullopt);
  EXPECT_THAT(options.allowed_directories, IsEmpty());
  EXPECT_EQ(options.cache_size, 64_MiB);
  EXPECT_EQ(options.flush_interval, std::chrono::seconds(5));
  EXPECT_EQ(options.disk.discard, DiskOptions::Discard::Unmap);
  EXPECT_EQ(options.disk.detect_zeroes, DiskOptions::DetectZeroes::Off);
  EXPECT_EQ(options.transport, Transport::Auto);
  EXPECT_EQ(options.threads, std::nullopt);
  EXPECT_TRUE(options.locks);
  EXPECT_TRUE(options.sandbox);
  EXPECT_FALSE(options.read_only);
  EXPECT_FALSE(options.growable);
  EXPECT_FALSE(options.allow_other);
}

TEST(Options, TakeEveryWordAboutTheImage) {
  const MountOptions options = parsed({"format=qcow2,allow-path=/a:/b,backing=base.img,cache-size=1M,flush-interval=30",
                                       "discard=ignore,detect-zeroes=unmap,lock=off,ro"});
  EXPECT_EQ(options.format, "qcow2");
  EXPECT_THAT(options.allowed_directories, ElementsAre("/a", "/b"));
  EXPECT_EQ(options.backing, "base.img");
  EXPECT_EQ(options.cache_size, 1_MiB);
  EXPECT_EQ(options.flush_interval, std::chrono::seconds(30));
  EXPECT_EQ(options.disk.discard, DiskOptions::Discard::Ignore);
  EXPECT_EQ(options.disk.detect_zeroes, DiskOptions::DetectZeroes::Unmap);
  EXPECT_FALSE(options.locks);
  EXPECT_TRUE(options.read_only);
}

TEST(Options, TakeEveryWordAboutTheMount) {
  const MountOptions options =
      parsed({"suffix=.raw,growable,uid=7,gid=8,umask=027,io=thread,threads=3,sandbox=off,allow_other,"
              "default_permissions,fsname=disk,subtype=x,max_read=65536,noatime,sync"});
  EXPECT_EQ(options.suffix, ".raw");
  EXPECT_TRUE(options.growable);
  EXPECT_EQ(options.uid, 7u);
  EXPECT_EQ(options.gid, 8u);
  EXPECT_EQ(options.umask, 027u);
  EXPECT_EQ(options.transport, Transport::Thread);
  EXPECT_EQ(options.threads, 3u);
  EXPECT_FALSE(options.sandbox);
  EXPECT_TRUE(options.allow_other);
  EXPECT_EQ(options.fsname, "disk");
  EXPECT_EQ(options.subtype, "x");
  EXPECT_EQ(options.max_read, 65536u);
  EXPECT_THAT(options.kernel_words, ElementsAre("noatime", "sync"));
}

TEST(Options, SwallowWhatMount8LeavesIn) {
  const MountOptions options =
      parsed({"auto,noauto,user,nouser,users,owner,group,nofail,_netdev,defaults,x-systemd.automount,X-mount.mkdir,"
              "comment=hello,"
              "uhelper=u,helper=h,nosuid,nodev,noexec,suid,dev,exec,relatime,rw,"});
  EXPECT_THAT(options.kernel_words, IsEmpty());
  EXPECT_FALSE(options.read_only);
}

TEST(Options, ALaterWordWins) {
  EXPECT_TRUE(parsed({"rw", "ro"}).read_only);
  EXPECT_FALSE(parsed({"ro,rw"}).read_only);
  EXPECT_EQ(parsed({"threads=2", "threads=5"}).threads, 5u);
}

TEST(Options, CommasInValuesAreEscaped) {
  EXPECT_EQ(parsed({R"(backing=a\,b,ro)"}).backing, "a,b");
  EXPECT_THAT(split_list(R"(a\\,b\,c,,d\x)"), ElementsAre("a\\", "b,c", "d\\x"));
  EXPECT_THAT(split_list(escaped_for_list(R"(odd\,name,)")), ElementsAre(R"(odd\,name,)"));
}

TEST(Options, AnUnknownWordIsNamed) {
  EXPECT_EQ(refused("ro,cahce-size=1M").kind, ErrorKind::BadUsage);
  EXPECT_THAT(refused("ro,cahce-size=1M").text, HasSubstr("cahce-size=1M"));
  EXPECT_THAT(refused("bell\a").text, HasSubstr("\\x07"));
}

TEST(Options, AnUnknownWordIsIgnoredWhenMount8IsSloppy) {
  const auto options = parse_options({"cahce-size=1M,ro"}, UnknownOption::Ignore);
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->read_only);
}

TEST(Options, TheKeyFileIsANameOnlyAndReadByNobodyHere) {
  const auto options = parse_options({"key-file=/no/such/file"}, UnknownOption::Refuse);
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_EQ(options->key_file, "/no/such/file");
}

TEST(Options, BadValuesAreRefused) {
  for (const char* word : {"format",
                           "format=",
                           "ro=1",
                           "growable=yes",
                           "cache-size=1X",
                           "cache-size=-1",
                           "cache-size=99999999P",
                           "flush-interval=0",
                           "flush-interval=1.5",
                           "discard=on",
                           "detect-zeroes=maybe",
                           "io=fast",
                           "threads=0",
                           "threads=257",
                           "threads=two",
                           "lock=1",
                           "sandbox",
                           "suffix=/x",
                           "uid=root",
                           "uid=99999999999",
                           "umask=8",
                           "umask=01000",
                           "max_read="}) {
    EXPECT_EQ(refused(word).kind, ErrorKind::BadUsage) << word;
  }
}

TEST(Options, TheWordsThatMount8KeepsForItselfAreNotOurs) {
  for (const char* word : {"offset=1", "sizelimit=1", "loop"})
    EXPECT_EQ(refused(word).kind, ErrorKind::BadUsage) << word;
}

TEST(Sizes, TakePowersOf1024) {
  EXPECT_EQ(*parse_size("0"), 0_B);
  EXPECT_EQ(*parse_size("512"), 512_B);
  EXPECT_EQ(*parse_size("3k"), 3_KiB);
  EXPECT_EQ(*parse_size("3K"), 3_KiB);
  EXPECT_EQ(*parse_size("7M"), 7_MiB);
  EXPECT_EQ(*parse_size("2G"), 2_GiB);
  EXPECT_EQ(*parse_size("1T"), 1024_GiB);
  EXPECT_EQ(*parse_size("1P"), 1024_GiB * 1024);
}

TEST(Sizes, RefuseWhatIsNoSize) {
  for (const char* text : {"", "K", "1KB", "1.5G", "-1", "+1", " 1", "1 ", "0x10", "16384P", "18446744073709551616"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

}  // namespace
}  // namespace flatimg::flat
