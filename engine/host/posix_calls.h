// The system calls of posix_file.cpp with their loops: interrupted calls are repeated, partial transfers continued.
//
// They take a descriptor and return 0 or an errno; names and words are added one level up. Private to this room.
#pragma once

#include <span>

#include "base/range.h"
#include "host/host_file.h"

namespace flatimg::posix {

/// Fills `out`; what lies beyond the end of the file becomes zeroes.
[[nodiscard]] int read_fully(int fd, HostOffset at, std::span<std::byte> out);

/// Writes all parts one behind the other. As few system calls as IOV_MAX and the kernel's limit per call allow.
[[nodiscard]] int write_fully(int fd, HostOffset at, std::span<const std::span<const std::byte>> parts);

/// Writes zero bytes, at most 1 MiB per call.
[[nodiscard]] int write_zeroes(int fd, HostRange range);

/// fallocate(2) in the given mode.
[[nodiscard]] int allocate(int fd, int mode, HostRange range);

/// BLKZEROOUT on a block device.
[[nodiscard]] int zero_out_device(int fd, HostRange range);

[[nodiscard]] int sync_data(int fd);
[[nodiscard]] int set_size(int fd, ByteCount size);

/// Capacity of a block device; nullopt, with errno set, when it does not tell.
[[nodiscard]] std::optional<ByteCount> device_size(int fd);

/// True for the errors by which kernels say "this file (or this alignment) cannot do that": do it another way.
[[nodiscard]] bool means_unsupported(int os_error);

/// False when the range does not fit into off_t: no file of Linux reaches there.
[[nodiscard]] bool is_addressable(HostRange range);

}  // namespace flatimg::posix
