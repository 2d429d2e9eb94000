// Control sockets of mounts that follow each other under one device number.
#include "fuse/registry.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include "support/temp_dir.h"

namespace flatimg::flat {
namespace {

bool answers(const std::string& folder, dev_t device) {
  const auto address = socket_address(folder + "/" + socket_name(device));
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int outcome = connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address));
  return outcome == 0 || errno == EAGAIN;  // a queue that is full is somebody's
}

class Registry : public ::testing::Test {
 protected:
  [[nodiscard]] Result<ControlSocket> listen(dev_t device) const { return ControlSocket::listen(folder(), device); }
  /// What a helper leaves that was killed.
  void leave_stale(dev_t device) const { ASSERT_TRUE(listen(device).has_value()); }
  [[nodiscard]] std::string folder() const { return dir_.path().string(); }

  test::TempDir dir_;
};

TEST_F(Registry, ASocketIsThereUntilItsMountHasEnded) {
  auto control = listen(makedev(0, 40));
  ASSERT_TRUE(control);
  EXPECT_TRUE(answers(folder(), makedev(0, 40)));
  (void)control->take();
  control->remove();
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_F(Registry, TheNextMountRemovesWhatAKilledOneLeft) {
  leave_stale(makedev(0, 40));
  const auto next = listen(makedev(0, 41));
  ASSERT_TRUE(next);
  EXPECT_FALSE(std::filesystem::exists(dir_ / socket_name(makedev(0, 40))));
}

// The number is free as soon as the old mount is away, and that is before its supervisor has tidied up.
TEST_F(Registry, TidyingUpLeavesTheSocketOfTheNextMountWithThatNumber) {
  auto ended = listen(makedev(0, 40));
  ASSERT_TRUE(ended);
  (void)ended->take();
  const auto next = listen(makedev(0, 40));
  ASSERT_TRUE(next);
  ended->remove();
  EXPECT_TRUE(answers(folder(), makedev(0, 40)));
}

// Between finding a socket dead and removing its name, the name must not become another one's.
TEST_F(Registry, NoSocketIsNamedWhileSomebodyTidiesUp) {
  leave_stale(makedev(0, 40));
  Descriptor tidying(::open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(flock(tidying.get(), LOCK_EX), 0);
  std::thread next([&] { (void)listen(makedev(0, 41)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_TRUE(std::filesystem::exists(dir_ / socket_name(makedev(0, 40))));
  tidying = Descriptor();
  next.join();
  EXPECT_FALSE(std::filesystem::exists(dir_ / socket_name(makedev(0, 40))));
}

// A helper that has been stopped takes no connections; there may be many mounts, and this is not the one we look for.
TEST_F(Registry, AHelperThatHangsIsNotWaitedForEndlessly) {
  const auto registry = own_registry();
  if (!registry) GTEST_SKIP() << registry.error().text;
  const dev_t device =
      makedev(4095, static_cast<unsigned>(::getpid()) % 1'000'000);  // no file system has such a number
  auto control = ControlSocket::listen(*registry, device);
  ASSERT_TRUE(control) << control.error().text;
  const auto address = socket_address(*registry + "/" + socket_name(device));
  std::vector<Descriptor> queue;
  for (int outcome = 0; outcome == 0;) {
    queue.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    outcome = connect(queue.back().get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address));
  }
  MountEntry mount;
  mount.device_major = major(device);
  mount.device_minor = minor(device);
  EXPECT_FALSE(connect_to_helper(mount));
  (void)control->take();
  control->remove();
}

}  // namespace
}  // namespace flatimg::flat
