// Key derivation, the splitter, and LUKS headers that were made, used and damaged.
#include <gtest/gtest.h>

#include <cstring>

#include "base/endian.h"
#include "base/limits.h"
#include "crypto/af_splitter.h"
#include "crypto/derive.h"
#include "crypto/luks_keys.h"
#include "engine/crypto/hexadecimal.h"
#include "support/matchers.h"

namespace flatimg::crypto {
namespace {

using test::bytes_of;
using test::FailsWith;
using test::from_hex;
using test::Succeeds;
using Bytes = std::vector<std::byte>;

Bytes derived(Hash hash, std::string_view passphrase, std::uint32_t iterations, std::size_t bytes) {
  Bytes out(bytes);
  EXPECT_THAT(pbkdf2(hash, bytes_of(passphrase), bytes_of("salt"), iterations, out), Succeeds());
  return out;
}

TEST(Pbkdf2, AgreesWithRfc6070) {
  EXPECT_EQ(derived(Hash::Sha1, "password", 1, 20), from_hex("0c60c80f961f0e71f3a9b524af6012062fe037a6"));
  EXPECT_EQ(derived(Hash::Sha1, "password", 2, 20), from_hex("ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"));
  EXPECT_EQ(derived(Hash::Sha1, "password", 4096, 20), from_hex("4b007901b765489abead49d926f721d065a429c1"));
}

TEST(Pbkdf2, AgreesWithRfc7914) {
  EXPECT_EQ(derived(Hash::Sha256, "passwd", 1, 64),
            from_hex("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
                     "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"));
}

TEST(Pbkdf2, TakesAnEmptyPassphrase) { EXPECT_NE(derived(Hash::Sha256, "", 10, 32), Bytes(32)); }

TEST(Pbkdf2, CountsItsWork) {
  EXPECT_EQ(rounds(Hash::Sha256, 1000, 64), 2000u);
  EXPECT_EQ(rounds(Hash::Sha1, 1000, 21), 2000u);
  EXPECT_EQ(rounds(Hash::Sha512, 0xffffffff, 64), 0xffffffffu);
}

TEST(AfSplitter, GivesTheKeyBackWithEveryHash) {
  for (const Hash hash :
       {Hash::Md5, Hash::Sha1, Hash::Sha224, Hash::Sha256, Hash::Sha384, Hash::Sha512, Hash::Ripemd160}) {
    for (const std::size_t bytes : {16u, 24u, 32u, 64u}) {
      const Bytes key = test::noise(bytes, 1);
      auto split = af_split(hash, key, 100);
      ASSERT_THAT(split, Succeeds());
      EXPECT_EQ(split->size(), bytes * 100);
      const auto merged = af_merge(hash, split->bytes(), bytes);
      ASSERT_THAT(merged, Succeeds());
      EXPECT_EQ(Bytes(merged->bytes().begin(), merged->bytes().end()), key) << word_for(hash);
    }
  }
}

TEST(AfSplitter, NeedsEveryBit) {
  const Bytes key = test::noise(32, 1);
  auto split = af_split(Hash::Sha256, key, 50);
  ASSERT_THAT(split, Succeeds());
  for (const std::size_t at : {std::size_t{0}, std::size_t{777}, split->size() - 1}) {
    split->bytes()[at] ^= std::byte{1};
    const auto merged = af_merge(Hash::Sha256, split->bytes(), 32);
    ASSERT_THAT(merged, Succeeds());
    EXPECT_NE(Bytes(merged->bytes().begin(), merged->bytes().end()), key) << at;
    split->bytes()[at] ^= std::byte{1};
  }
}

class Luks : public ::testing::Test {
 protected:
  void SetUp() override { make({}); }

  void make(const LuksAlgorithms& algorithms) {
    algorithms_ = algorithms;
    auto made = make_luks(algorithms, bytes_of("secret"), std::chrono::milliseconds(0));
    ASSERT_THAT(made, Succeeds());
    const auto head = luks_header_bytes(made->header);
    area_.assign(made->header.payload.value(), std::byte{0});
    std::memcpy(area_.data(), head.data(), head.size());
    std::memcpy(area_.data() + made->header.slots[0].material.value(), made->material.data(), made->material.size());
  }
  void put32(std::size_t at, std::uint32_t value) { store_be(std::span(area_), at, value); }
  [[nodiscard]] std::size_t slot(std::size_t index) const { return 208 + index * 48; }

  Result<Secret> open(std::string_view passphrase) {
    TRY(const LuksHeader header, parse_luks_header(area_));
    TRY(const LuksAlgorithms algorithms, usable(header, ByteCount(area_.size())));
    return unlock(header, algorithms, bytes_of(passphrase), [&](ByteCount at, std::span<std::byte> out) {
      std::memcpy(out.data(), area_.data() + at.value(), out.size());
      return Result<void>();
    });
  }

  LuksAlgorithms algorithms_;
  Bytes area_;
};

TEST_F(Luks, OpensWithItsPassphraseOnly) {
  const auto key = open("secret");
  ASSERT_THAT(key, Succeeds());
  EXPECT_EQ(key->size(), 64u);
  for (const char* wrong : {"", "Secret", "secret\n", "secret "}) {
    EXPECT_THAT(open(wrong), FailsWith(ErrorKind::Denied, "the passphrase is wrong")) << wrong;
  }
}

TEST_F(Luks, HasTheLayoutOfQemu) {
  const auto header = parse_luks_header(area_);
  ASSERT_THAT(header, Succeeds());
  EXPECT_EQ(header->payload.value(), 4040u * 512);
  EXPECT_EQ(header->mode, "xts-plain64");
  EXPECT_EQ(header->slots[1].material.value() - header->slots[0].material.value(), 504u * 512);
  EXPECT_FALSE(header->slots[1].active);
  EXPECT_EQ(header->uuid.size(), 36u);
  EXPECT_EQ(luks_header_bytes(*header), luks_header_bytes(*parse_luks_header(luks_header_bytes(*header))));
}

TEST_F(Luks, OpensWithEveryHash) {
  for (const Hash hash : {Hash::Md5, Hash::Sha1, Hash::Sha224, Hash::Sha384, Hash::Sha512, Hash::Ripemd160}) {
    make({CipherSpec{Family::Serpent, 128, Mode::Cbc, Generator::Essiv, Hash::Sha256}, hash});
    EXPECT_THAT(open("secret"), Succeeds()) << word_for(hash);
    EXPECT_THAT(open("other"), FailsWith(ErrorKind::Denied, "wrong"));
  }
}

TEST_F(Luks, FindsTheKeyInAnySlot) {
  for (std::size_t index = 1; index < kLuksSlots; ++index) {
    Bytes moved(area_.begin() + static_cast<std::ptrdiff_t>(slot(0)),
                area_.begin() + static_cast<std::ptrdiff_t>(slot(1)));
    std::memcpy(area_.data() + slot(index), moved.data(), moved.size());
    put32(slot(0), 0xdead);
    EXPECT_THAT(open("secret"), Succeeds()) << index;
    std::memcpy(area_.data() + slot(0), moved.data(), moved.size());
    put32(slot(index), 0xdead);
  }
}

TEST_F(Luks, RefusesADamagedHeader) {
  const Bytes good = area_;
  const auto damaged = [&](std::size_t at, std::uint32_t value, ErrorKind kind, std::string_view why) {
    area_ = good;
    put32(at, value);
    EXPECT_THAT(open("secret"), FailsWith(kind, why)) << at;
  };
  damaged(0, 0, ErrorKind::InvalidImage, "no LUKS header");
  damaged(4, 0xbabe0002, ErrorKind::Unsupported, "version 2");
  damaged(8, 0x41424344, ErrorKind::Unsupported, "cipher");
  damaged(40, 0x41424344, ErrorKind::Unsupported, "mode");
  damaged(72, 0x41424344, ErrorKind::Unsupported, "hash");
  damaged(108, 0, ErrorKind::Unsupported, "bits");
  damaged(108, 0xffffffff, ErrorKind::Unsupported, "too long");
  damaged(112, 0, ErrorKind::Denied, "wrong");
  damaged(164, 0, ErrorKind::InvalidImage, "no rounds");
  damaged(slot(0) + 4, 0, ErrorKind::InvalidImage, "no rounds");
  damaged(slot(0) + 40, 0, ErrorKind::InvalidImage, "outside");
  damaged(slot(0) + 40, 0xffffffff, ErrorKind::InvalidImage, "outside");
  damaged(slot(0) + 44, 0, ErrorKind::InvalidImage, "stripes");
  damaged(slot(0) + 44, 0xffffffff, ErrorKind::InvalidImage, "stripes");
  damaged(slot(0) + 44, limits::kLuksStripes, ErrorKind::InvalidImage, "outside");
  damaged(slot(0), 0xdead, ErrorKind::Denied, "wrong");
}

TEST_F(Luks, RefusesSlotsThatLieOnEachOther) {
  put32(slot(1), 0x00AC71F3);
  put32(slot(1) + 4, 1000);
  put32(slot(1) + 40, 9);
  EXPECT_THAT(open("secret"), FailsWith(ErrorKind::InvalidImage, "slots 0 and 1"));
}

TEST_F(Luks, DoesNotBurnTimeOnExpensiveSlots) {
  put32(slot(3), 0x00AC71F3);
  put32(slot(3) + 4, 0xffffffff);
  EXPECT_THAT(open("secret"), Succeeds());
  EXPECT_THAT(open("wrong"), FailsWith(ErrorKind::Limit, "rounds"));
  put32(164, 0xffffffff);
  EXPECT_THAT(open("secret"), FailsWith(ErrorKind::Limit, "rounds"));
}

TEST_F(Luks, RefusesToMakeWhatQemuCannotOpen) {
  EXPECT_THAT(check_creatable({CipherSpec{Family::Aes, 192, Mode::Cbc, Generator::Plain64, {}}, Hash::Sha256}),
              FailsWith(ErrorKind::Unsupported, "24 bytes"));
  EXPECT_THAT(check_creatable({CipherSpec{Family::Aes, 192, Mode::Xts, Generator::Plain64, {}}, Hash::Sha256}),
              Succeeds());
}

TEST_F(Luks, TakesTheTimeThatItIsGiven) {
  const auto quick = make_luks({}, bytes_of("secret"), std::chrono::milliseconds(0));
  const auto slow = make_luks({}, bytes_of("secret"), std::chrono::milliseconds(100));
  ASSERT_THAT(quick, Succeeds());
  ASSERT_THAT(slow, Succeeds());
  EXPECT_EQ(quick->header.slots[0].iterations, 1000u);
  EXPECT_EQ(quick->header.digest_iterations, 1000u);
  EXPECT_GT(slow->header.slots[0].iterations, 5000u);
  EXPECT_NE(quick->header.uuid, slow->header.uuid);
  EXPECT_NE(quick->material, slow->material);
}

TEST(SecretMemory, IsForgottenWhereItShrinks) {
  Secret secret = Secret::copy(bytes_of("abcdef"));
  secret.shrink_to(2);
  EXPECT_EQ(test::text_of(secret.bytes()), "ab");
  const Secret moved = std::move(secret);
  EXPECT_EQ(moved.size(), 2u);
}

}  // namespace
}  // namespace flatimg::crypto
