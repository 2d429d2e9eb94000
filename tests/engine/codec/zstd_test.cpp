#include "codec/zstd.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include "base/endian.h"
#include "support/matchers.h"

namespace flatimg {
namespace {

using test::FailsWith;
using test::noise;
using test::Succeeds;

using Bytes = std::vector<std::byte>;

constexpr std::size_t kCluster = 65536;

Bytes sample() {
  Bytes bytes = noise(kCluster, 1);
  for (std::size_t i = kCluster / 2; i < kCluster; ++i) bytes[i] = bytes[i - 30000];
  return bytes;
}

Bytes frame_of(std::span<const std::byte> plain) {
  Bytes out(ZSTD_compressBound(plain.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
  return out;
}

// Without a content size in its header, with a checksum, in several blocks.
Bytes streamed_frame_of(const Bytes& plain, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  Bytes out(ZSTD_compressBound(plain.size()) + 1000);
  ZSTD_inBuffer in{plain.data(), plain.size(), 0};
  ZSTD_outBuffer sink{out.data(), out.size(), 0};
  ZSTD_compressStream2(context, &sink, &in, ZSTD_e_flush);
  ZSTD_compressStream2(context, &sink, &in, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  out.resize(sink.pos);
  return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes result;
  for (const Bytes& part : parts) result.insert(result.end(), part.begin(), part.end());
  return result;
}

Bytes skippable(std::size_t payload) {
  Bytes frame(8 + payload);
  frame[0] = std::byte{0x50};
  frame[1] = std::byte{0x2a};
  frame[2] = std::byte{0x4d};
  frame[3] = std::byte{0x18};
  frame[4] = static_cast<std::byte>(payload);
  return frame;
}

TEST(InflateZstd, FillsTheOutputExactly) {
  const Bytes plain = sample();
  Bytes out(plain.size());
  EXPECT_THAT(inflate_zstd_exactly(frame_of(plain), out), Succeeds());
  EXPECT_EQ(out, plain);
}

TEST(InflateZstd, ReadsFramesWithoutASizeAndWithTheLargestWindow) {
  const Bytes plain = sample();
  for (const int window_log : {10, 21, 27, 31}) {
    Bytes out(plain.size());
    EXPECT_THAT(inflate_zstd_exactly(streamed_frame_of(plain, window_log), out), Succeeds()) << window_log;
    EXPECT_EQ(out, plain);
  }
}

TEST(InflateZstd, ReadsOneFrameAfterAnotherAndSkipsSkippableOnes) {
  const Bytes plain = sample();
  const auto half = std::span<const std::byte>(plain).first(1000);
  const auto rest = std::span<const std::byte>(plain).subspan(1000);
  Bytes out(plain.size());
  const Bytes frames = joined({frame_of(half), skippable(5), frame_of({}), frame_of(rest)});
  EXPECT_THAT(inflate_zstd_exactly(frames, out), Succeeds());
  EXPECT_EQ(out, plain);
}

TEST(InflateZstd, IgnoresWhatFollowsTheLastFrame) {
  const Bytes plain = sample();
  Bytes out(plain.size());
  EXPECT_THAT(inflate_zstd_exactly(joined({frame_of(plain), noise(300, 2)}), out), Succeeds());
}

TEST(InflateZstd, RefusesAFrameThatDoesNotEndWithTheOutput) {
  Bytes out(kCluster - 1);
  EXPECT_THAT(inflate_zstd_exactly(frame_of(sample()), out), FailsWith(ErrorKind::CorruptImage, "zstd"));
}

TEST(InflateZstd, RefusesFramesThatEndBeforeTheOutputIsFull) {
  Bytes out(kCluster + 1);
  EXPECT_THAT(inflate_zstd_exactly(frame_of(sample()), out), FailsWith(ErrorKind::CorruptImage, "no further frame"));
}

TEST(InflateZstd, RefusesEveryTruncation) {
  const Bytes frame = frame_of(Bytes(4096, std::byte{7}));
  Bytes out(4096);
  for (std::size_t count = 0; count < frame.size(); ++count) {
    EXPECT_FALSE(inflate_zstd_exactly(std::span(frame).first(count), out)) << count;
  }
}

TEST(InflateZstd, NoticesAWrongChecksum) {
  Bytes frame = streamed_frame_of(sample(), 21);
  frame.back() ^= std::byte{1};
  Bytes out(kCluster);
  EXPECT_THAT(inflate_zstd_exactly(frame, out), FailsWith(ErrorKind::CorruptImage, "checksum"));
}

TEST(InflateZstd, RefusesTheFormatsOfOldTimes) {
  Bytes frame = noise(100, 5);
  for (const unsigned version : {0x24u, 0x25u, 0x26u, 0x27u}) {
    frame[0] = static_cast<std::byte>(version);
    frame[1] = std::byte{0xb5};
    frame[2] = std::byte{0x2f};
    frame[3] = std::byte{0xfd};
    Bytes out(4096);
    EXPECT_THAT(inflate_zstd_exactly(frame, out), FailsWith(ErrorKind::CorruptImage, "no further frame"));
  }
}

TEST(InflateZstdFrame, SaysHowMuchItHeld) {
  const Bytes plain = sample();
  Bytes out(plain.size() + 5000);
  EXPECT_EQ(inflate_zstd_frame(frame_of(plain), out).value(), plain.size());
  EXPECT_TRUE(std::equal(plain.begin(), plain.end(), out.begin()));
  EXPECT_EQ(inflate_zstd_frame(streamed_frame_of(plain, 21), out).value(), plain.size());
  EXPECT_EQ(inflate_zstd_frame(frame_of({}), {}).value(), 0u);
}

TEST(InflateZstdFrame, SaysWhenThereIsMoreThanFits) {
  Bytes out(kCluster - 1);
  EXPECT_THAT(inflate_zstd_frame(frame_of(sample()), out), FailsWith(ErrorKind::Limit, "more than 65535 bytes"));
}

TEST(InflateZstdFrame, TakesOneFrameAndNothingElse) {
  Bytes out(2 * kCluster);
  const Bytes frame = frame_of(sample());
  EXPECT_THAT(inflate_zstd_frame(joined({frame, frame}), out), FailsWith(ErrorKind::CorruptImage, "ends where"));
  EXPECT_THAT(inflate_zstd_frame(std::span(frame).first(frame.size() - 1), out),
              FailsWith(ErrorKind::CorruptImage, "zstd"));
}

TEST(InflateZstd, SurvivesDamage) {
  const Bytes frame = frame_of(sample());
  Bytes out(kCluster);
  for (std::size_t i = 0; i < 3000; ++i) {
    Bytes damaged = frame;
    damaged[(i * 7919) % damaged.size()] ^= static_cast<std::byte>(1 + i % 255);
    (void)inflate_zstd_exactly(damaged, out);
  }
}

TEST(Zstd, WritesOneFrameWithItsSize) {
  const Bytes plain = sample();
  Bytes frame(kCluster);
  frame.resize(zstd_into(plain, frame).value());
  ASSERT_GT(frame.size(), 0u);
  EXPECT_EQ(ZSTD_getFrameContentSize(frame.data(), frame.size()), plain.size());
  Bytes out(plain.size());
  EXPECT_THAT(inflate_zstd_exactly(frame, out), Succeeds());
  EXPECT_EQ(out, plain);
}

TEST(Zstd, SaysSoWhenItDoesNotFit) {
  Bytes out(4095);
  EXPECT_EQ(zstd_into(noise(4096, 3), out).value(), 0u);
  EXPECT_EQ(zstd_into(noise(4096, 3), {}).value(), 0u);
}

}  // namespace
}  // namespace flatimg
