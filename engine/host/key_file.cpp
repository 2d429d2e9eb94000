#include "host/key_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/limits.h"
#include "base/text.h"
#include "host/posix_file.h"

namespace flatimg {

namespace {

constexpr std::size_t kFirstMemory = 4096;

// Reads until the end, or until `memory` is full. Returns how many bytes came.
Result<std::size_t> fill(int descriptor, std::span<std::byte> memory, const std::string& path) {
  std::size_t got = 0;
  while (got < memory.size()) {
    const ssize_t now = ::read(descriptor, memory.data() + got, memory.size() - got);
    if (now < 0 && errno == EINTR) continue;
    if (now < 0) return fail_os(errno, "{}: reading the key", shown(path));
    if (now == 0) break;
    got += static_cast<std::size_t>(now);
  }
  return got;
}

// What is read ahead of a larger piece of memory is wiped with the smaller one.
Result<Secret> read_all(int descriptor, const std::string& path) {
  Secret memory(kFirstMemory);
  std::size_t got = 0;
  for (;;) {
    TRY(const std::size_t more, fill(descriptor, memory.bytes().subspan(got), path));
    got += more;
    if (got < memory.size()) break;
    if (got > limits::kPassphrase.value()) {
      return fail(ErrorKind::Limit, "{}: a key of more than {} bytes", shown(path), limits::kPassphrase.value());
    }
    Secret larger(memory.size() * 2);
    std::memcpy(larger.bytes().data(), memory.bytes().data(), got);
    memory = std::move(larger);
  }
  memory.shrink_to(got);
  return memory;
}

}  // namespace

Result<Secret> read_key_file(const std::string& path) {
  if (path == "-") return read_all(STDIN_FILENO, "standard input");
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.valid()) return fail_os(errno, "{}: cannot open the key file", shown(path));
  return read_all(file.get(), path);
}

}  // namespace flatimg
