// Messages with descriptors between two processes of one mount.
//
// A message is sent as a whole or not at all. What comes in is looked at as if the other side were hostile: too short,
// too long, with more descriptors than one.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"
#include "host/posix_file.h"

namespace flatimg::flat {

struct Message {
  static constexpr std::size_t kLongestText = 4096;  // what is longer is cut

  std::uint32_t word = 0;  // what it is about
  std::array<std::int64_t, 2> numbers{};
  std::string text;
  Descriptor descriptor;
};

class Channel {
 public:
  Channel() = default;
  /// The two ends.
  static Result<std::pair<Channel, Channel>> make();

  enum class Patience { Wait, Drop };
  /// Io when the other side is gone. Drop: Busy instead of waiting for the other side. Any thread.
  Result<void> send(const Message& message, Patience patience = Patience::Wait) const;
  /// Waits for the next one. NotFound when the other side is gone, InvalidImage when it sent nonsense. Drop: Busy when
  /// there is none.
  [[nodiscard]] Result<Message> receive(Patience patience = Patience::Wait) const;

  [[nodiscard]] const Descriptor& descriptor() const { return socket_; }

 private:
  explicit Channel(Descriptor socket) : socket_(std::move(socket)) {}
  Descriptor socket_;
};

/// The descriptor that comes with the next bytes of a socket; none when there is none.
[[nodiscard]] Descriptor receive_descriptor(const Descriptor& socket);

}  // namespace flatimg::flat
