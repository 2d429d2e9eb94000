// sendmsg and recvmsg on a pair of SOCK_SEQPACKET sockets: records stay apart, and the end of one side is seen.
#include "fuse/channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

namespace flatimg::flat {

namespace {

struct Header {
  std::uint32_t word = 0;
  std::uint32_t text = 0;  // bytes of it
  std::array<std::int64_t, 2> numbers{};
};

/// Room for one descriptor beside a message.
union Rider {
  cmsghdr aligned;
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

void add_rider(msghdr& envelope, Rider& rider, const Descriptor& descriptor) {
  envelope.msg_control = rider.bytes.data();
  envelope.msg_controllen = rider.bytes.size();
  cmsghdr* header = CMSG_FIRSTHDR(&envelope);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = descriptor.get();
  std::memcpy(CMSG_DATA(header), &number, sizeof number);
}

Descriptor rider_of(msghdr& envelope) {
  const cmsghdr* header = CMSG_FIRSTHDR(&envelope);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return {};
  if (header->cmsg_len != CMSG_LEN(sizeof(int))) return {};
  int number = -1;
  std::memcpy(&number, CMSG_DATA(header), sizeof number);
  return Descriptor(number);
}

struct Received {
  ssize_t bytes = -1;
  bool cut = false;
  Descriptor rider;
};

Received receive_into(const Descriptor& socket, std::span<iovec> parts, int flags) {
  Rider rider{};
  msghdr envelope{};
  envelope.msg_iov = parts.data();
  envelope.msg_iovlen = parts.size();
  envelope.msg_control = rider.bytes.data();
  envelope.msg_controllen = rider.bytes.size();
  Received received;
  do {
    received.bytes = ::recvmsg(socket.get(), &envelope, flags | MSG_CMSG_CLOEXEC);
  } while (received.bytes < 0 && errno == EINTR);
  if (received.bytes < 0) return received;
  received.cut = (envelope.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  received.rider = rider_of(envelope);
  return received;
}

}  // namespace

Result<std::pair<Channel, Channel>> Channel::make() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_os(errno, "making a pair of sockets");
  }
  return std::pair(Channel(Descriptor(ends[0])), Channel(Descriptor(ends[1])));
}

Result<void> Channel::send(const Message& message, Patience patience) const {
  const std::size_t text = std::min(message.text.size(), Message::kLongestText);
  Header header{message.word, static_cast<std::uint32_t>(text), message.numbers};
  std::array<iovec, 2> parts{{{&header, sizeof header}, {const_cast<char*>(message.text.data()), text}}};
  Rider rider{};
  msghdr envelope{};
  envelope.msg_iov = parts.data();
  envelope.msg_iovlen = parts.size();
  if (message.descriptor.valid()) add_rider(envelope, rider, message.descriptor);
  const int flags = MSG_NOSIGNAL | (patience == Patience::Drop ? MSG_DONTWAIT : 0);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &envelope, flags);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};
  if (errno == EAGAIN) return fail(ErrorKind::Busy, "the other process does not listen");
  return fail_os(errno, "talking to the other process of this mount");
}

Result<Message> Channel::receive(Patience patience) const {
  Header header;
  Message message;
  message.text.resize(Message::kLongestText);
  std::array<iovec, 2> parts{{{&header, sizeof header}, {message.text.data(), message.text.size()}}};
  Received received = receive_into(socket_, parts, patience == Patience::Drop ? MSG_DONTWAIT : 0);
  if (received.bytes < 0 && errno == EAGAIN) return fail(ErrorKind::Busy, "nothing was said");
  if (received.bytes < 0) return fail_os(errno, "listening to the other process of this mount");
  if (received.bytes == 0) return fail(ErrorKind::NotFound, "the other process of this mount is gone");
  const auto bytes = static_cast<std::size_t>(received.bytes);
  if (received.cut || bytes < sizeof header || bytes - sizeof header != header.text) {
    return fail(ErrorKind::InvalidImage, "the other process of this mount talks nonsense");
  }
  message.word = header.word;
  message.numbers = header.numbers;
  message.text.resize(header.text);
  message.descriptor = std::move(received.rider);
  return message;
}

Descriptor receive_descriptor(const Descriptor& socket) {
  char byte = 0;
  iovec part{&byte, 1};
  return receive_into(socket, {&part, 1}, 0).rider;
}

}  // namespace flatimg::flat
