// The control socket of a mount: what `flatimg status` and `flatimg umount` talk to.
//
// A client sends one word and a line end:
//   status   the text of stats.json comes back, and the connection ends
//   wait     "waiting" comes back; when the image is final one more line, "ok" or what went wrong, and the connection
//            ends
//
// One thread serves it. Clients are the mounter himself or root (the folder is closed to others) and are few.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/ranked_mutex.h"
#include "fuse/exported.h"
#include "host/posix_file.h"

namespace flatimg::flat {

class Control {
 public:
  /// Listens for the mount with that device number. Failing is no reason not to mount: the error is a warning then.
  static Result<std::unique_ptr<Control>> listen(const Exported& exported, dev_t device);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  /// From now on the disk is not looked at any more.
  void forget_disk() EXCLUDES(mutex_);
  /// Tells everybody who waits, and ends.
  void finish(const Result<void>& outcome) EXCLUDES(mutex_);

 private:
  Control(const Exported& exported, std::string path, Descriptor socket);
  struct Client {
    Descriptor connection;
    std::string word;  // what came so far
    bool waits = false;
    bool done = false;
  };
  void serve();
  void accept_client();
  void hear(Client& client);
  void answer(Client& client);
  [[nodiscard]] std::string status() EXCLUDES(mutex_);
  void tell_waiting();

  const std::string path_;
  ino_t inode_ = 0;
  Descriptor socket_;
  Descriptor wake_up_;
  std::vector<Client> clients_;
  Mutex mutex_{Rank::Session};
  const Exported* exported_ GUARDED_BY(mutex_);
  std::string outcome_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace flatimg::flat
