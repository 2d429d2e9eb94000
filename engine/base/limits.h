// Upper bounds on every number that an image, a name or a user can make large.
//
// The qcow2 bounds are those of QEMU, so that an image is refused by both or by neither.
#pragma once

#include <cstdint>

#include "base/units.h"

namespace flatimg::limits {

inline constexpr unsigned kChainDepth = 10;         // images behind the one that was named
inline constexpr unsigned kOpenedFiles = 64;        // files that one mount opens because an image named them
inline constexpr std::uint64_t kNameLength = 4095;  // a path

inline constexpr unsigned kQcow2MinClusterBits = 9;
inline constexpr unsigned kQcow2MaxClusterBits = 21;
inline constexpr ByteCount kQcow2RefcountTable = 8_MiB;
inline constexpr ByteCount kQcow2L1Table = 32_MiB;
inline constexpr std::uint32_t kQcow2Snapshots = 65536;
inline constexpr ByteCount kQcow2SnapshotTable = 64_MiB;
inline constexpr std::uint32_t kQcow2SnapshotExtraData = 1024;
inline constexpr std::uint32_t kQcow2BackingName = 1023;
inline constexpr std::uint32_t kQcow2Bitmaps = 65535;
inline constexpr std::uint64_t kQcow2HostOffset = (std::uint64_t{1} << 56) - 1;

// QEMU takes L1 tables of up to 2 GiB; this is enough for 4 TiB in the qcow images that anybody makes.
inline constexpr ByteCount kQcow1L1Table = 16_MiB;
inline constexpr std::uint32_t kQcow1BackingName = 1023;

inline constexpr unsigned kCompositeParts = 512;     // 128 partitions with a filler behind each, and some
inline constexpr ByteCount kCompositeFile = 16_MiB;  // the description, without its parts

inline constexpr std::size_t kSparseRuns = std::size_t{16} << 20;  // of an Android sparse image: 192 MiB of memory
inline constexpr std::size_t kZstdFrames = std::size_t{16} << 20;  // of a zstd file: 336 MiB, and 2 TiB at 128 KiB

inline constexpr ByteCount kLuksHeader = 32_MiB;                      // with all its key slots
inline constexpr std::uint64_t kLuksRounds = std::uint64_t{1} << 26;  // of key derivation, for all slots: some 20 s
inline constexpr std::uint32_t kLuksStripes = 1u << 16;               // of one key slot; everybody uses 4000
inline constexpr ByteCount kPassphrase = 8_MiB;                       // what cryptsetup takes from a key file

inline constexpr ByteCount kDisk{(std::uint64_t{1} << 63) - 512};  // the largest virtual size
inline constexpr ByteCount kRequest = 32_MiB;                      // one read or write that the engine takes at once

}  // namespace flatimg::limits
