#include "crypto/sector_cipher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "crypto/derive.h"
#include "engine/crypto/hexadecimal.h"
#include "support/matchers.h"

namespace flatimg::crypto {
namespace {

using test::from_hex;
using test::joined;
using test::Succeeds;
using Bytes = std::vector<std::byte>;

std::unique_ptr<SectorCipher> cipher_of(const CipherSpec& spec, const Bytes& key) {
  auto cipher = SectorCipher::make(spec, key);
  EXPECT_THAT(cipher, Succeeds());
  return cipher ? *std::move(cipher) : nullptr;
}

Bytes counting(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i & 0xff);
  return bytes;
}

Bytes beginning(const Bytes& bytes, std::size_t count) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count)};
}

// IEEE 1619, annex B.
TEST(SectorCipher, AgreesWithVector1OfTheXtsStandard) {
  const auto cipher = cipher_of({Family::Aes, 128, Mode::Xts, Generator::Plain64, {}}, Bytes(32));
  Bytes sector(kSector);
  ASSERT_THAT(cipher->encipher(0, sector), Succeeds());
  EXPECT_EQ(beginning(sector, 32), from_hex("917cf69ebd68b2ec9b9fe9a3eadda692 cd43d2f59598ed858c02c2652fbf922e"));
}

TEST(SectorCipher, AgreesWithVector4OfTheXtsStandard) {
  const Bytes key = joined(from_hex("27182818284590452353602874713526"), from_hex("31415926535897932384626433832795"));
  const auto cipher = cipher_of({Family::Aes, 128, Mode::Xts, Generator::Plain64, {}}, key);
  Bytes sector = counting(kSector);
  ASSERT_THAT(cipher->encipher(0, sector), Succeeds());
  EXPECT_EQ(beginning(sector, 48), from_hex("27a7479befa1d476489f308cd4cfa6e2 a96e4bbe3208ff25287dd3819616e89c"
                                            "c78cf7f5e543445f8333d8fa7f560000"));
}

TEST(SectorCipher, AgreesWithVector10OfTheXtsStandard) {
  const Bytes key = joined(from_hex("2718281828459045235360287471352662497757247093699959574966967627"),
                           from_hex("3141592653589793238462643383279502884197169399375105820974944592"));
  const auto cipher = cipher_of({Family::Aes, 256, Mode::Xts, Generator::Plain64, {}}, key);
  Bytes sector = counting(kSector);
  ASSERT_THAT(cipher->encipher(0xff, sector), Succeeds());
  EXPECT_EQ(beginning(sector, 32), from_hex("1c3b3a102f770386e4836c99e370cf9b ea00803f5e482357a4ae12d414a3e63b"));
}

// SP 800-38A, F.1.1: the first block of cbc with an IV of zeroes is that of ecb.
TEST(SectorCipher, EnciphersTheFirstBlockOfSectorZeroAsTheAesStandardSays) {
  const auto cipher =
      cipher_of({Family::Aes, 128, Mode::Cbc, Generator::Plain64, {}}, from_hex("2b7e151628aed2a6abf7158809cf4f3c"));
  Bytes sector = from_hex("6bc1bee22e409f96e93d7e117393172a");
  sector.resize(kSector);
  ASSERT_THAT(cipher->encipher(0, sector), Succeeds());
  EXPECT_EQ(beginning(sector, 16), from_hex("3ad77bb40d7a3660a89ecaf32466ef97"));
}

class IvOf : public ::testing::TestWithParam<Generator> {};

// In cbc the first block is enciphered after xor with the IV, so what is xored with the right IV beforehand gives the
// block of sector zero with plain64.
Bytes first_block_after_xor(const SectorCipher& cipher, std::uint64_t number, const Bytes& iv) {
  Bytes sector = counting(kSector);
  for (std::size_t i = 0; i < iv.size(); ++i) sector[i] ^= iv[i];
  EXPECT_THAT(cipher.encipher(number, sector), Succeeds());
  return beginning(sector, 16);
}

TEST_P(IvOf, IsMadeAsDmCryptMakesIt) {
  const Bytes key = from_hex("000102030405060708090a0b0c0d0e0f");
  const auto reference = cipher_of({Family::Aes, 128, Mode::Cbc, Generator::Plain64, {}}, key);
  const Bytes expected = first_block_after_xor(*reference, 0, Bytes(16));
  CipherSpec spec{Family::Aes, 128, Mode::Cbc, GetParam(), {}};
  if (GetParam() == Generator::Essiv) spec.generator_hash = Hash::Sha256;
  const auto cipher = cipher_of(spec, key);
  Bytes iv = from_hex("8877665544332211");  // in little endian
  iv.resize(kSector);
  if (GetParam() == Generator::Plain) std::fill(iv.begin() + 4, iv.begin() + 8, std::byte{0});
  if (GetParam() == Generator::Essiv) {
    Bytes salt(32);
    ASSERT_THAT(digest(Hash::Sha256, key, salt), Succeeds());
    ASSERT_THAT(cipher_of({Family::Aes, 256, Mode::Ecb, Generator::Plain, {}}, salt)->encipher(0, iv), Succeeds());
  }
  iv.resize(16);
  EXPECT_EQ(first_block_after_xor(*cipher, 0x1122334455667788, iv), expected);
}

INSTANTIATE_TEST_SUITE_P(EachGenerator, IvOf, ::testing::Values(Generator::Plain, Generator::Plain64, Generator::Essiv),
                         [](const auto& param) { return std::string(word_for(param.param)); });

std::vector<CipherSpec> all_specs() {
  std::vector<CipherSpec> specs;
  for (const Family family : {Family::Aes, Family::Serpent, Family::Twofish, Family::Cast5}) {
    for (const unsigned bits : {128u, 192u, 256u}) {
      for (const Mode mode : {Mode::Xts, Mode::Cbc, Mode::Ctr, Mode::Ecb}) {
        for (const Generator generator : {Generator::Plain, Generator::Plain64, Generator::Essiv}) {
          CipherSpec spec{family, bits, mode, generator, {}};
          if (generator == Generator::Essiv) spec.generator_hash = family == Family::Cast5 ? Hash::Md5 : Hash::Sha256;
          if (check_spec(spec) && !(family == Family::Twofish && bits == 192)) specs.push_back(spec);
        }
      }
    }
  }
  return specs;
}

TEST(SectorCipher, GivesBackWhatItEncipheredForEveryCombination) {
  ASSERT_EQ(all_specs().size(), 8u * 4 * 3 + 3 * 3);
  for (const CipherSpec& spec : all_specs()) {
    SCOPED_TRACE(fmt::format("{}-{}-{}", word_for(spec.family), spec.key_bits, mode_text(spec)));
    const auto cipher = cipher_of(spec, test::noise(spec.key_bytes(), 3));
    ASSERT_NE(cipher, nullptr);
    const Bytes plain = test::noise(5 * kSector, 4);
    Bytes bytes = plain;
    ASSERT_THAT(cipher->encipher(0xfffffffe, bytes), Succeeds());
    for (std::size_t at = 0; at < bytes.size(); at += 16) {
      ASSERT_NE(std::memcmp(bytes.data() + at, plain.data() + at, 16), 0) << "block at " << at << " is in clear text";
    }
    ASSERT_THAT(cipher->decipher(0xfffffffe, bytes), Succeeds());
    EXPECT_EQ(bytes, plain);
  }
}

TEST(SectorCipher, GivesEachSectorItsOwnCipherText) {
  for (const CipherSpec& spec : all_specs()) {
    if (spec.mode == Mode::Ecb) continue;
    const auto cipher = cipher_of(spec, test::noise(spec.key_bytes(), 3));
    Bytes two(2 * kSector);
    ASSERT_THAT(cipher->encipher(7, two), Succeeds());
    EXPECT_NE(Bytes(two.begin(), two.begin() + kSector), Bytes(two.begin() + kSector, two.end())) << mode_text(spec);
  }
}

TEST(SectorCipher, WorksForManyThreadsAtOnce) {
  const CipherSpec spec;
  const auto cipher = cipher_of(spec, test::noise(spec.key_bytes(), 9));
  const Bytes plain = test::noise(64 * kSector, 5);
  Bytes expected = plain;
  ASSERT_THAT(cipher->encipher(1000, expected), Succeeds());
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int n = 0; n < 8; ++n) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        Bytes bytes = plain;
        if (!cipher->encipher(1000, bytes) || bytes != expected) ++wrong;
        if (!cipher->decipher(1000, bytes) || bytes != plain) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(SectorCipher, SaysWhatTheLibraryDoesNotHave) {
  const CipherSpec spec{Family::Twofish, 192, Mode::Xts, Generator::Plain64, {}};
  EXPECT_THAT(SectorCipher::make(spec, Bytes(48)), test::FailsWith(ErrorKind::Unsupported, "twofish-192"));
}

TEST(Algorithms, ReadTheTextThatTheyWrite) {
  for (const CipherSpec& spec : all_specs()) {
    const auto again = spec_from(word_for(spec.family), mode_text(spec), spec.key_bytes());
    ASSERT_THAT(again, Succeeds()) << mode_text(spec);
    EXPECT_EQ(*again, spec);
  }
}

TEST(Algorithms, RefuseWhatDoesNotExist) {
  const auto refused = [](std::string_view cipher, std::string_view mode, std::size_t bytes, std::string_view why) {
    EXPECT_THAT(spec_from(cipher, mode, bytes), test::FailsWith(ErrorKind::Unsupported, why)) << cipher << " " << mode;
  };
  refused("rot13", "xts-plain64", 64, "rot13");
  refused("aes", "gcm-plain64", 32, "gcm-plain64");
  refused("aes", "xts", 64, "IV generator");
  refused("aes", "", 64, "cipher mode");
  refused("aes", "cbc-essiv", 32, "needs a hash");
  refused("aes", "cbc-essiv:sha1", 32, "20 bytes");
  refused("aes", "cbc-essiv:crc32", 32, "crc32");
  refused("aes", "xts-plain64", 32 + 1, "bits");
  refused("aes", "xts-plain64", 0, "bits");
  refused("aes", "xts-plain64", 0xffffffff, "too long");
  refused("cast5", "xts-plain64", 32, "cast5");
}

}  // namespace
}  // namespace flatimg::crypto
