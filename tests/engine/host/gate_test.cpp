#include "host/gate.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "base/limits.h"
#include "support/matchers.h"
#include "support/temp_dir.h"

namespace flatimg {
namespace {

namespace fs = std::filesystem;
using test::FailsWith;
using test::Succeeds;

// top/over.qcow2 names things; top/ is permitted, other/ and the rest are not.
class GateTest : public ::testing::Test {
 protected:
  GateTest() {
    fs::create_directories(directory_ / "top/sub");
    fs::create_directories(directory_ / "other");
    directory_.write("top/over.qcow2", "over");
    directory_.write("top/base.raw", "base");
    directory_.write("top/sub/deep.raw", "deep");
    directory_.write("other/secret.raw", "secret");
  }

  Gate gate(const std::vector<std::string>& allowed = {}) { return Gate::around(over_, allowed).value(); }
  Gate::Request request(std::string_view name) const {
    return {.name = name, .asking_path = over_, .role = "backing file"};
  }
  Result<Gate::Opened> open(std::string_view name) { return gate().open(request(name)); }
  // What is in the file that the name opens.
  std::string read(Gate gate, std::string_view name) {
    auto opened = gate.open(request(name));
    if (!opened) return "refused: " + opened.error().text;
    std::vector<std::byte> bytes(static_cast<std::size_t>(opened->file->size().value().value()));
    EXPECT_THAT(opened->file->read(HostOffset(), bytes), Succeeds());
    return test::text_of(bytes);
  }
  std::string read(std::string_view name) { return read(gate(), name); }
  void link(const std::string& target, std::string_view name) const { fs::create_symlink(target, directory_ / name); }

  test::TempDir directory_;
  std::string over_ = directory_ / "top/over.qcow2";
};

constexpr const char* kOutside =
    "is outside the permitted directories: allow it with -o allow-path=DIR, or --allow-path DIR";

TEST_F(GateTest, OpensNamesBeneathTheDirectoryOfTheImage) {
  EXPECT_EQ(read("base.raw"), "base");
  EXPECT_EQ(read("./sub/deep.raw"), "deep");
  EXPECT_EQ(read("sub/../base.raw"), "base");
  EXPECT_EQ(read(directory_ / "top/base.raw"), "base");
  EXPECT_EQ(read(directory_ / "other/../top/base.raw"), "base");
  EXPECT_EQ(read("../top/base.raw"), "base");
}

TEST_F(GateTest, RefusesNamesOutsideAndSaysHowToAllowThem) {
  for (const std::string& name :
       {std::string("../other/secret.raw"), directory_ / "other/secret.raw", std::string("/etc/passwd"),
        std::string("../../../../../../../../etc/passwd"), std::string("sub/../../other/secret.raw"),
        directory_ / "top/../other/secret.raw", directory_ / "topsy", std::string("../nothing-there")}) {
    EXPECT_THAT(open(name), FailsWith(ErrorKind::Denied, kOutside)) << name;
  }
  EXPECT_EQ(open("/etc/passwd").error().text, over_ + ": backing file \"/etc/passwd\" " + kOutside);
}

TEST_F(GateTest, OpensWhatAllowPathAllows) {
  const std::vector<std::string> allowed = {directory_ / "other"};
  EXPECT_EQ(read(gate(allowed), "../other/secret.raw"), "secret");
  EXPECT_EQ(read(gate(allowed), directory_ / "other/secret.raw"), "secret");
  EXPECT_EQ(read(gate(allowed), "base.raw"), "base");
  EXPECT_EQ(read(gate({"/"}), directory_ / "other/secret.raw"), "secret");
}

TEST_F(GateTest, NeedsDirectoriesThatExist) {
  EXPECT_THAT(Gate::around(over_, {directory_ / "none"}), FailsWith(ErrorKind::NotFound, "allow-path: "));
  EXPECT_THAT(Gate::around(over_, {over_}), FailsWith(ErrorKind::NotFound, "allow-path: "));
}

TEST_F(GateTest, TakesADirectoryAsTheTop) {
  Gate around_directory = Gate::around(directory_ / "top", {}).value();
  EXPECT_EQ(read(std::move(around_directory), "sub/deep.raw"), "deep");
}

TEST_F(GateTest, ResolvesNamesInTheDirectoryOfTheImageThatAsks) {
  Gate here = gate();
  auto deep = here.open(request("sub/deep.raw"));
  ASSERT_THAT(deep, Succeeds());
  EXPECT_EQ(deep->path, directory_ / "top/sub/deep.raw");
  EXPECT_THAT(here.open({.name = "../base.raw", .asking_path = deep->path, .role = "backing file"}), Succeeds());
  EXPECT_THAT(here.open({.name = "base.raw", .asking_path = deep->path, .role = "backing file"}),
              FailsWith(ErrorKind::NotFound, "No such file"));
}

TEST_F(GateTest, SaysHowToReplaceABackingFileThatIsMissing) {
  EXPECT_EQ(open("none.raw").error().text,
            over_ + ": backing file \"none.raw\": No such file or directory: give its place with -o backing=FILE");
  EXPECT_EQ(gate().open({.name = "none.raw", .asking_path = over_, .role = "data file"}).error().text,
            over_ + ": data file \"none.raw\": No such file or directory");
}

TEST_F(GateTest, FollowsLinksThatStayInside) {
  link("base.raw", "top/relative");
  link("../base.raw", "top/sub/upwards");
  link(directory_ / "top/base.raw", "top/absolute");
  link("sub", "top/directory");
  EXPECT_EQ(read("relative"), "base");
  EXPECT_EQ(read("sub/upwards"), "base");
  EXPECT_EQ(read("absolute"), "base");
  EXPECT_EQ(read("directory/deep.raw"), "deep");
}

TEST_F(GateTest, DoesNotFollowLinksThatLeadOutside) {
  link("../other/secret.raw", "top/relative");
  link(directory_ / "other/secret.raw", "top/absolute");
  link("../other", "top/directory");
  link("/proc/self/fd/0", "top/magic");
  link("loop", "top/loop");
  EXPECT_THAT(open("relative"), FailsWith(ErrorKind::Denied, kOutside));
  EXPECT_THAT(open("absolute"), FailsWith(ErrorKind::Denied, kOutside));
  EXPECT_THAT(open("directory/secret.raw"), FailsWith(ErrorKind::Denied, kOutside));
  EXPECT_THAT(open("magic"), FailsWith(ErrorKind::Denied, kOutside));
  EXPECT_THAT(open("loop"), FailsWith(ErrorKind::Denied, "symbolic links"));
  EXPECT_EQ(read(gate({directory_ / "other"}), "relative"), "secret");
  EXPECT_EQ(read(gate({directory_ / "other"}), "directory/secret.raw"), "secret");
}

TEST_F(GateTest, LetsTheKernelJudgeWhatLiesBehindALink) {
  fs::create_directories(directory_ / "other/inner");
  link("../other/inner", "top/link");
  // The text says top/base.raw; the file is other/base.raw.
  directory_.write("other/base.raw", "wrong");
  EXPECT_THAT(read("link/../base.raw"), ::testing::AnyOf("base", ::testing::HasSubstr("refused")));
}

TEST_F(GateTest, OpensThroughADirectoryThatIsALinkItself) {
  link(directory_ / "top", "alias");
  Gate alias = Gate::around(directory_ / "alias/over.qcow2", {}).value();
  for (const std::string& name :
       {std::string("base.raw"), directory_ / "alias/base.raw", directory_ / "top/base.raw"}) {
    EXPECT_THAT(alias.open({.name = name, .asking_path = directory_ / "alias/over.qcow2", .role = "backing file"}),
                Succeeds())
        << name;
  }
}

TEST_F(GateTest, NeverFollowsMagicLinksEvenWhereEverythingIsAllowed) {
  for (const char* name :
       {"/proc/self/fd/0", "/dev/fd/0", "/dev/stdin", "/proc/self/exe", "/proc/self/root/etc/passwd"}) {
    EXPECT_THAT(open(name), FailsWith(ErrorKind::Denied, kOutside)) << name;
    EXPECT_FALSE(gate({"/"}).open(request(name))) << name;
  }
}

TEST_F(GateTest, GivesProtocolsNoMeaning) {
  for (const char* name :
       {"json:{}", "nbd:localhost:10809", "file:base.raw", "fd:0", "json:{\"driver\":\"null-co\"}"}) {
    EXPECT_THAT(open(name), FailsWith(ErrorKind::NotFound, "No such file")) << name;
  }
  directory_.write("top/nbd:x", "a file");
  EXPECT_EQ(read("nbd:x"), "a file");
}

TEST_F(GateTest, RefusesWhatIsNoName) {
  EXPECT_THAT(open(""), FailsWith(ErrorKind::InvalidImage, "name is empty"));
  EXPECT_THAT(open(std::string_view("base.raw\0x", 10)), FailsWith(ErrorKind::InvalidImage, "NUL"));
  EXPECT_THAT(open(std::string(limits::kNameLength + 1, 'a')), FailsWith(ErrorKind::Limit, "4095 bytes"));
  EXPECT_FALSE(open(std::string(limits::kNameLength, 'a')));
  EXPECT_FALSE(open(std::string(300, 'a')));
  EXPECT_LT(open(std::string(limits::kNameLength, 'a')).error().text.size(), 1000u);
}

TEST_F(GateTest, ShowsNamesEscaped) {
  EXPECT_THAT(open("a\x1b[2Jb"), FailsWith(ErrorKind::NotFound, "\"a\\x1b[2Jb\""));
}

TEST_F(GateTest, RefusesEverythingButRegularFiles) {
  ASSERT_EQ(::mkfifo((directory_ / "top/fifo").c_str(), 0600), 0);
  const Descriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string socket_path = directory_ / "top/socket";
  ASSERT_LT(socket_path.size(), sizeof address.sun_path);
  socket_path.copy(address.sun_path, socket_path.size());
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);

  EXPECT_THAT(open("fifo"), FailsWith(ErrorKind::Denied, "is a FIFO: an image may name regular files only"));
  EXPECT_THAT(open("socket"), FailsWith(ErrorKind::Denied, "is a socket"));
  EXPECT_THAT(open("sub"), FailsWith(ErrorKind::Denied, "is a directory"));
  EXPECT_THAT(open("."), FailsWith(ErrorKind::Denied, "is a directory"));
  EXPECT_THAT(gate({"/dev"}).open(request("/dev/null")), FailsWith(ErrorKind::Denied, "is a character device"));
}

TEST_F(GateTest, RefusesBlockDevices) {
  if (::mknod((directory_ / "top/device").c_str(), S_IFBLK | 0600, makedev(7, 250)) != 0) GTEST_SKIP() << "needs root";
  EXPECT_THAT(open("device"), FailsWith(ErrorKind::Denied, "is a block device"));
}

// --- descriptors ----------------------------------------------------------------------------------------------------

std::string name_of(const Descriptor& descriptor) { return "/proc/self/fd/" + std::to_string(descriptor.get()); }

TEST_F(GateTest, UsesAnInheritedDescriptorThatWasPermitted) {
  const Descriptor inherited(::open((directory_ / "other/secret.raw").c_str(), O_RDWR));
  EXPECT_EQ(read(gate({"/proc/self/fd"}), name_of(inherited)), "secret");
  auto writing = request("");
  const std::string name = name_of(inherited);
  writing.name = name;
  writing.access = Access::ReadWrite;
  EXPECT_TRUE(gate({"/proc/self/fd"}).open(writing)->file->writable());
}

TEST_F(GateTest, UsesNoDescriptorUnlessPermitted) {
  const Descriptor inherited(::open((directory_ / "other/secret.raw").c_str(), O_RDONLY));
  EXPECT_THAT(gate().open(request(name_of(inherited))), FailsWith(ErrorKind::Denied, kOutside));
  EXPECT_THAT(gate({"/"}).open(request(name_of(inherited))), FailsWith(ErrorKind::Denied, ""));
}

TEST_F(GateTest, UsesNoDescriptorThatIsItsOwnOrAbsentOrNoImage) {
  const Descriptor own(::open((directory_ / "other/secret.raw").c_str(), O_RDONLY | O_CLOEXEC));
  const Descriptor null(::open("/dev/null", O_RDONLY));
  Gate permitting = gate({"/proc/self/fd"});
  EXPECT_THAT(permitting.open(request(name_of(own))), FailsWith(ErrorKind::NotFound, "no such descriptor"));
  EXPECT_THAT(permitting.open(request("/proc/self/fd/999999")), FailsWith(ErrorKind::NotFound, "no such descriptor"));
  EXPECT_THAT(permitting.open(request(name_of(null))), FailsWith(ErrorKind::Denied, "is a character device"));
  for (const char* name : {"/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/x", "/proc/self/fd/7x",
                           "/proc/self/fd/", "/proc/self/fd/../fd/7", "/dev/fd/7", "/proc/self/fd/99999999999"}) {
    EXPECT_THAT(permitting.open(request(name)), FailsWith(ErrorKind::Denied, kOutside)) << name;
  }
}

TEST_F(GateTest, WritesToNoDescriptorThatWasOpenedForReading) {
  const Descriptor inherited(::open((directory_ / "other/secret.raw").c_str(), O_RDONLY));
  const std::string name = name_of(inherited);
  auto writing = request(name);
  writing.access = Access::ReadWrite;
  EXPECT_THAT(gate({"/proc/self/fd"}).open(writing), FailsWith(ErrorKind::Denied, ""));
}

TEST_F(GateTest, OpensForWritingOnlyWhenAsked) {
  Gate here = gate();
  EXPECT_FALSE(here.open(request("base.raw"))->file->writable());
  auto writing = request("base.raw");
  writing.access = Access::ReadWrite;
  EXPECT_TRUE(here.open(writing)->file->writable());
}

TEST_F(GateTest, RefusesAFileThatLedHere) {
  const auto over = open_host_file(over_, Access::ReadOnly).value();
  const std::array chain = {over->identity()};
  fs::create_hard_link(over_, directory_ / "top/second name");
  for (const char* name : {"over.qcow2", "second name"}) {
    auto loop = request(name);
    loop.chain = chain;
    EXPECT_THAT(gate().open(loop), FailsWith(ErrorKind::InvalidImage, "loop")) << name;
  }
}

TEST_F(GateTest, RefusesFilesOfOurOwnMount) {
  Gate here = gate();
  here.refuse_device(open_host_file(over_, Access::ReadOnly).value()->identity().device);
  EXPECT_THAT(here.open(request("base.raw")), FailsWith(ErrorKind::Denied, "mount"));
}

TEST_F(GateTest, OpensALimitedNumberOfFiles) {
  Gate here = gate();
  for (unsigned i = 0; i < limits::kOpenedFiles; ++i) ASSERT_THAT(here.open(request("base.raw")), Succeeds());
  EXPECT_THAT(here.open(request("base.raw")), FailsWith(ErrorKind::Limit, "one file too many"));
}

TEST_F(GateTest, OpensMorePartsThanOtherFiles) {
  Gate here = gate();
  Gate::Request part = request("base.raw");
  part.role = Gate::kPart;
  for (unsigned i = 0; i < limits::kCompositeParts; ++i) ASSERT_THAT(here.open(part), Succeeds());
  EXPECT_THAT(here.open(part), FailsWith(ErrorKind::Limit, "may lead to 512"));
  EXPECT_THAT(here.open(request("base.raw")), Succeeds());
}

TEST_F(GateTest, TellsWhereANameLeadsWithoutOpening) {
  EXPECT_EQ(Gate::resolve_name("base.raw", "over.qcow2"), "base.raw");
  EXPECT_EQ(Gate::resolve_name("base.raw", "/images/over.qcow2"), "/images/base.raw");
  EXPECT_EQ(Gate::resolve_name("../base.raw", "images/over.qcow2"), "images/../base.raw");
  EXPECT_EQ(Gate::resolve_name("/a/b", "/images/over.qcow2"), "/a/b");
}

}  // namespace
}  // namespace flatimg
