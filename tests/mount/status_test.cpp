// What flatimg status tells of a mount that is at work.
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "mount/one_image.h"

namespace flatimg::test {
namespace {

class Status : public OneImage {
 protected:
  void write_some(const MountedImage& mounted) {
    EXPECT_EQ(shell("dd status=none if=/dev/urandom bs=64k count=16 conv=notrunc,fsync of=" + mounted.flat() +
                    "; dd status=none iflag=direct bs=4k count=100 of=/dev/null if=" + mounted.flat())
                  .exit_code,
              0);
  }
};

TEST_F(Status, TellsHowLongRequestsTook) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  write_some(mounted);
  const Finished json = flatimg({"status", "--output=json", mountpoint_});
  for (const char* field : {"\"p50-us\"", "\"p99-us\"", "\"last-flush\"", "\"last-flush-us\""}) {
    EXPECT_NE(json.output.find(field), std::string::npos) << field;
  }
  const Finished table = flatimg({"status", mountpoint_});
  EXPECT_NE(table.output.find("p99-us"), std::string::npos);
  EXPECT_EQ(table.output.find("classes"), std::string::npos);
  mounted.unmount();
}

TEST_F(Status, GivesPrometheusOneMetricALine) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  write_some(mounted);
  const Finished metrics = flatimg({"status", "--output=prometheus", mountpoint_});
  const std::regex sample(R"re(flatimg_[a-z_]+\{([a-z]+="([^"\\]|\\.)*",?)+\} [-+.e0-9]+)re");
  std::istringstream lines(metrics.output);
  int samples = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP flatimg_") || line.starts_with("# TYPE flatimg_")) continue;
    EXPECT_TRUE(std::regex_match(line, sample)) << line;
    ++samples;
  }
  EXPECT_GT(samples, 30);
  EXPECT_NE(metrics.output.find("request=\"fsync\",le=\"+Inf\"} 1"), std::string::npos) << metrics.output;
  EXPECT_NE(metrics.output.find("flatimg_written_bytes_total{source=\"" + image_), std::string::npos);
  mounted.unmount();
}

TEST_F(Status, IsWatchedUntilTheMountEnds) {
  MountedImage mounted(image_, mountpoint_);
  ASSERT_TRUE(mounted.mounted());
  const Finished twice =
      shell("dd status=none if=" + mounted.flat() + " of=/dev/null bs=1M & $FLATIMG status --watch " +
            "--interval 0.2 --count 2 " + mountpoint_ + "; wait");
  EXPECT_EQ(twice.exit_code, 0) << twice.output;
  EXPECT_NE(twice.output.find("requests/s"), twice.output.rfind("requests/s"));
  const Finished ended =
      shell("$FLATIMG status -w --interval 0.1 " + mountpoint_ + " > " + (dir_ / "log") +
            " & sleep 0.3; $FLATIMG umount " + mountpoint_ + "; wait $!; grep -c requests/s " + (dir_ / "log"));
  EXPECT_EQ(ended.exit_code, 0) << ended.output;
}

}  // namespace
}  // namespace flatimg::test
