// The partition header of LUKS version 1 ("LUKS On-Disk Format Specification" 1.2, figures 1 and 2): plain data and its
// bytes. Numbers of the header are sectors; here they are bytes.
//
// Nothing of it is trusted: parse_luks_header() takes any bytes behind the magic, usable() says whether keys may be
// looked for. Both are bounded by kLuksHeaderBytes and the length of the area.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/units.h"
#include "crypto/algorithms.h"

namespace flatimg::crypto {

inline constexpr std::size_t kLuksHeaderBytes = 592;
inline constexpr std::size_t kLuksSlots = 8;
inline constexpr std::size_t kLuksDigestBytes = 20;
inline constexpr std::size_t kLuksSaltBytes = 32;
inline constexpr std::uint32_t kLuksStripes = 4000;

struct LuksSlot {
  bool active = false;
  std::uint32_t iterations = 0;
  std::array<std::byte, kLuksSaltBytes> salt{};
  ByteCount material;  // from the beginning of the header
  std::uint32_t stripes = 0;
};

struct LuksHeader {
  std::string cipher;  // "aes"
  std::string mode;    // "xts-plain64"
  std::string hash;    // "sha256": of the key derivation and the splitter
  ByteCount payload;
  std::uint32_t key_bytes = 0;
  std::array<std::byte, kLuksDigestBytes> digest{};  // of the master key
  std::array<std::byte, kLuksSaltBytes> digest_salt{};
  std::uint32_t digest_iterations = 0;
  std::string uuid;
  std::array<LuksSlot, kLuksSlots> slots;
};

/// What the first kLuksHeaderBytes bytes say. Unsupported for LUKS2, InvalidImage for what is no LUKS header. Texts are
/// cut at their NUL and may contain anything.
Result<LuksHeader> parse_luks_header(std::span<const std::byte> bytes);

/// The reverse; names that are too long are cut.
[[nodiscard]] std::array<std::byte, kLuksHeaderBytes> luks_header_bytes(const LuksHeader& header);

/// What the names in a header stand for.
struct LuksAlgorithms {
  CipherSpec cipher;
  Hash hash = Hash::Sha256;
};

/// Judges a header in an area of `area` bytes: known algorithms, key material behind the header and inside of the area,
/// no slot on another one, and numbers that somebody may have meant.
Result<LuksAlgorithms> usable(const LuksHeader& header, ByteCount area);

}  // namespace flatimg::crypto
