// How fast sectors are enciphered and deciphered (decision 0009): MB/s of one thread, runs of 64 KiB.
#include <chrono>
#include <cstdio>
#include <vector>

#include "crypto/sector_cipher.h"

namespace {

using namespace flatimg::crypto;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kHowLong{400};

template <class Step>
double megabytes_per_second(const Step& step) {
  std::vector<std::byte> bytes(64u << 10);
  const auto begin = Clock::now();
  double done = 0;
  while (Clock::now() - begin < kHowLong) {
    if (!step(bytes)) return 0;
    done += static_cast<double>(bytes.size());
  }
  return done / 1e6 / std::chrono::duration<double>(Clock::now() - begin).count();
}

void measure(const CipherSpec& spec) {
  const std::vector<std::byte> key(spec.key_bytes(), std::byte{7});
  const auto cipher = SectorCipher::make(spec, key);
  if (!cipher) return;
  const double in = megabytes_per_second([&](auto& bytes) { return (*cipher)->encipher(5, bytes).has_value(); });
  const double out = megabytes_per_second([&](auto& bytes) { return (*cipher)->decipher(5, bytes).has_value(); });
  fmt::print("{:>8}-{} {:<18} enciphering {:6.0f}  deciphering {:6.0f} MB/s\n", word_for(spec.family), spec.key_bits,
             mode_text(spec), in, out);
}

}  // namespace

int main() {
  for (const Family family : {Family::Aes, Family::Serpent, Family::Twofish}) {
    for (const unsigned bits : {128u, 256u}) {
      measure({family, bits, Mode::Xts, Generator::Plain64, {}});
      measure({family, bits, Mode::Cbc, Generator::Essiv, Hash::Sha256});
    }
  }
}
