#include "codec/deflate.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "support/matchers.h"

namespace flatimg {
namespace {

using test::FailsWith;
using test::noise;
using test::Succeeds;

using Bytes = std::vector<std::byte>;

constexpr std::size_t kCluster = 65536;

// Half noise, half repetition, with copies from far behind: uses the whole window.
Bytes sample() {
  Bytes bytes = noise(kCluster, 1);
  for (std::size_t i = kCluster / 2; i < kCluster; ++i) bytes[i] = bytes[i - 30000];
  return bytes;
}

Bytes deflated(const Bytes& in, int window_bits, int flush) {
  Bytes out(in.size() * 2);
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes copy = in;
  stream.next_in = reinterpret_cast<Bytef*>(copy.data());
  stream.avail_in = static_cast<uInt>(copy.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  (void)deflate(&stream, flush);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

TEST(Inflate, FillsTheOutputExactly) {
  const Bytes plain = sample();
  Bytes out(plain.size());
  EXPECT_THAT(inflate_exactly(deflated(plain, -12, Z_FINISH), out), Succeeds());
  EXPECT_EQ(out, plain);
}

TEST(Inflate, ReadsTheLargestWindow) {
  const Bytes plain = sample();
  const Bytes stream = deflated(plain, -15, Z_FINISH);
  ASSERT_LT(stream.size(), kCluster * 3 / 4) << "the sample should reach back far";
  Bytes out(plain.size());
  EXPECT_THAT(inflate_exactly(stream, out), Succeeds());
  EXPECT_EQ(out, plain);
}

TEST(Inflate, IgnoresWhatFollowsTheStream) {
  const Bytes plain = sample();
  Bytes stream = deflated(plain, -12, Z_FINISH);
  const Bytes rubbish = noise(511, 2);
  stream.insert(stream.end(), rubbish.begin(), rubbish.end());
  Bytes out(plain.size());
  EXPECT_THAT(inflate_exactly(stream, out), Succeeds());
  EXPECT_EQ(out, plain);
}

TEST(Inflate, DoesNotNeedTheEndMark) {
  const Bytes plain = sample();
  Bytes out(plain.size());
  EXPECT_THAT(inflate_exactly(deflated(plain, -12, Z_SYNC_FLUSH), out), Succeeds());
  EXPECT_EQ(out, plain);
}

TEST(Inflate, AcceptsAStreamThatWouldGoOn) {
  const Bytes plain = sample();
  Bytes out(plain.size() / 2);
  EXPECT_THAT(inflate_exactly(deflated(plain, -12, Z_FINISH), out), Succeeds());
  EXPECT_TRUE(std::equal(out.begin(), out.end(), plain.begin()));
}

TEST(Inflate, RefusesAStreamThatEndsBeforeTheOutputIsFull) {
  Bytes out(kCluster + 1);
  EXPECT_THAT(inflate_exactly(deflated(sample(), -12, Z_FINISH), out), FailsWith(ErrorKind::CorruptImage, "65537"));
}

TEST(Inflate, RefusesEveryTruncation) {
  const Bytes plain(4096, std::byte{7});
  const Bytes stream = deflated(plain, -12, Z_FINISH);
  Bytes out(plain.size());
  for (std::size_t count = 0; count + 3 < stream.size(); ++count) {
    EXPECT_FALSE(inflate_exactly(std::span(stream).first(count), out)) << count;
  }
}

TEST(Inflate, SurvivesRubbish) {
  Bytes out(4096);
  for (std::uint64_t seed = 0; seed < 2000; ++seed) (void)inflate_exactly(noise(600, seed), out);
}

TEST(Deflate, WritesWhatQemuCanRead) {
  const Bytes plain = sample();
  Bytes stream(kCluster * 2);
  const std::size_t used = deflate_into(plain, stream).value();
  ASSERT_GT(used, 0u);
  Bytes out(plain.size());
  z_stream qemu{};
  ASSERT_EQ(inflateInit2(&qemu, -12), Z_OK);
  qemu.next_in = reinterpret_cast<Bytef*>(stream.data());
  qemu.avail_in = static_cast<uInt>(used);
  qemu.next_out = reinterpret_cast<Bytef*>(out.data());
  qemu.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&qemu, Z_FINISH), Z_STREAM_END);
  inflateEnd(&qemu);
  EXPECT_EQ(out, plain);
}

TEST(Deflate, SaysSoWhenItDoesNotFit) {
  const Bytes plain = noise(4096, 3);
  Bytes out(4095);
  EXPECT_EQ(deflate_into(plain, out).value(), 0u);
  EXPECT_EQ(deflate_into(plain, {}).value(), 0u);
}

TEST(Deflate, StartsAfreshAfterAStreamThatDidNotFit) {
  Bytes small(16);
  EXPECT_EQ(deflate_into(noise(4096, 4), small).value(), 0u);
  const Bytes plain(4096, std::byte{9});
  Bytes stream(4096);
  stream.resize(deflate_into(plain, stream).value());
  Bytes out(plain.size());
  EXPECT_THAT(inflate_exactly(stream, out), Succeeds());
  EXPECT_EQ(out, plain);
}

}  // namespace
}  // namespace flatimg
