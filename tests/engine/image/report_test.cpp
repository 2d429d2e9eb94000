#include "image/report.h"

#include <gmock/gmock.h>

namespace flatimg {
namespace {

using ::testing::ElementsAre;

TEST(CheckReport, IsCleanUntilSomethingIsFound) {
  CheckReport corrupt, leaking, unjudged;
  EXPECT_TRUE(corrupt.is_clean());
  corrupt.corruption("wrong");
  leaking.leak("lost");
  unjudged.unjudged("hidden");
  EXPECT_FALSE(corrupt.is_clean());
  EXPECT_FALSE(leaking.is_clean());
  EXPECT_FALSE(unjudged.is_clean());
}

TEST(CheckReport, CountsEachClassAndSaysWhichItIs) {
  CheckReport report;
  report.corruption("place {}", 1);
  report.leak("place {}", 2);
  report.unjudged("place {}", 3);
  report.tell("by the way: {}", 4);
  EXPECT_EQ(report.corruptions, 1u);
  EXPECT_EQ(report.leaks, 1u);
  EXPECT_EQ(report.check_errors, 1u);
  EXPECT_EQ(report.untold, 0u);
  EXPECT_THAT(report.sentences, ElementsAre("ERROR: place 1", "leaked: place 2", "ERROR: place 3", "by the way: 4"));
}

TEST(CheckReport, HasOneSentenceForManyCorruptionsInOnePlace) {
  CheckReport report;
  report.corruption(7, "an entry that {} tables name", 7);
  EXPECT_EQ(report.corruptions, 7u);
  EXPECT_THAT(report.sentences, ElementsAre("ERROR: an entry that 7 tables name"));
}

TEST(CheckReport, GoesOnCountingBeyondTheLastSentence) {
  CheckReport report;
  for (std::size_t n = 0; n < CheckReport::kMostSentences; ++n) report.tell("{}", n);
  EXPECT_EQ(report.untold, 0u);
  report.corruption(3, "a");
  report.leak("b");
  report.unjudged("c");
  report.tell("d");
  EXPECT_EQ(report.sentences.size(), CheckReport::kMostSentences);
  EXPECT_EQ(report.untold, 4u);
  EXPECT_EQ(report.corruptions, 3u);
  EXPECT_EQ(report.leaks, 1u);
  EXPECT_EQ(report.check_errors, 1u);
}

}  // namespace
}  // namespace flatimg
