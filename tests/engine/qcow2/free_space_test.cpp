// The life of host clusters: nobody gets one that somebody else still has.
#include "qcow2/free_space.h"

#include <functional>

#include "support/forwarding_file.h"
#include "support/matchers.h"
#include "support/memory_file.h"
#include "support/qcow2_damage.h"

namespace flatimg::qcow2 {
namespace {

using test::Succeeds;

/// Does something while a range is being given back.
class SlowPunches final : public test::ForwardingFile {
 public:
  using ForwardingFile::ForwardingFile;
  Result<void> zero(HostRange range, Space space) override {
    if (space == Space::Release && meanwhile) std::exchange(meanwhile, nullptr)();
    return ForwardingFile::zero(range, space);
  }
  std::function<void()> meanwhile;
};

TEST(FreeSpace, HandsOutNoClusterThatIsStillBeingPunched) {
  test::Qcow2Builder image;
  for (const std::uint64_t guest : {0u, 1u, 2u}) image.add_data(guest);
  const std::uint64_t freed = test::data_cluster(image, 1);
  SlowPunches file(test::MemoryFile::containing(image.bytes()));
  FreeSpace space(file, image.header().value(), ByteCount(1u << 20));
  ASSERT_THAT(space.open(), Succeeds());
  std::vector<std::uint64_t> taken;
  const auto take = [&] {
    const auto grant = space.take(1);
    ASSERT_THAT(grant, Succeeds());
    taken.push_back(grant->run.first);
  };
  file.meanwhile = take;
  space.release_later({freed, 1});
  ASSERT_THAT(space.finish_release(space.begin_release()), Succeeds());
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_NE(taken.front(), freed) << "it is punched under the hands of its new owner";
  for (int n = 0; n < 600; ++n) take();  // more than was reserved ahead
  EXPECT_EQ(std::ranges::count(taken, freed), 1) << "handed out twice, or never again";
}

}  // namespace
}  // namespace flatimg::qcow2
