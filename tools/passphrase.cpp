#include "tools/passphrase.h"

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>

#include "base/text.h"
#include "catalog/encrypted.h"
#include "fuse/confined_look.h"
#include "host/key_file.h"

namespace flatimg::tools {

namespace {

constexpr std::size_t kLongestLine = 4096;  // what a terminal gives at once

volatile std::sig_atomic_t caught_signal = 0;
void note_signal(int signal) { caught_signal = signal; }

/// While this lives, signals that would end (or stop) the program only interrupt what it waits for. Afterwards the one
/// that came is raised again.
class HeldSignals {
 public:
  HeldSignals() {
    caught_signal = 0;
    struct sigaction held {};
    held.sa_handler = note_signal;  // without SA_RESTART
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &held, &before_[i]);
  }
  ~HeldSignals() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
    if (caught_signal != 0) std::raise(caught_signal);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
  std::array<struct sigaction, kSignals.size()> before_{};
};

/// The terminal does not show what is typed while this lives.
class HiddenTyping {
 public:
  HiddenTyping() : hidden_(tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!hidden_) return;
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    now.c_lflag |= ECHONL;
    hidden_ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &now) == 0;
  }
  ~HiddenTyping() {
    if (hidden_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  HiddenTyping(const HiddenTyping&) = delete;
  HiddenTyping& operator=(const HiddenTyping&) = delete;
  [[nodiscard]] bool works() const { return hidden_; }

 private:
  termios before_{};
  bool hidden_;
};

Failure not_answered() {
  return fail(ErrorKind::Denied,
              "the passphrase was asked for, but not given. Put it into a file and name that with "
              "key-file=FILE (--key-file)");
}

Failure no_terminal(const std::string& image) {
  return fail(
      ErrorKind::Denied,
      "{}: the image is encrypted, and there is no terminal to ask for its passphrase: name a file that holds it "
      "with key-file=FILE (--key-file)",
      shown(image));
}

Result<std::shared_ptr<const Secret>> from_key_file(const std::string& key_file) {
  TRY(Secret secret, read_key_file(key_file));
  return std::make_shared<const Secret>(std::move(secret));
}

}  // namespace

// A stop signal (^Z) only puts the question off.
Result<Secret> ask_passphrase(const std::string& question) {
  Secret line(kLongestLine);
  ssize_t got = -1;
  do {
    const HeldSignals held;
    const HiddenTyping hidden;
    if (!hidden.works()) return not_answered();
    fmt::print(stderr, "{}", question);
    std::fflush(stderr);
    got = ::read(STDIN_FILENO, line.bytes().data(), line.size());
    if (caught_signal != 0) fmt::print(stderr, "\n");
  } while (caught_signal == SIGTSTP);
  const std::span<const std::byte> typed = std::as_const(line).bytes();
  if (got <= 0 || typed[static_cast<std::size_t>(got) - 1] != std::byte{'\n'}) return not_answered();
  line.shrink_to(static_cast<std::size_t>(got) - 1);
  return line;
}

Result<void> add_passphrase(flat::MountRequest& request) {
  const auto find = [&] { return flat::find_encrypted(request.source, request.options); };
  TRY(request.passphrase, passphrase_for(find, request.options.key_file));
  return {};
}

Result<std::shared_ptr<const Secret>> new_passphrase(const std::string& image, const std::string& key_file) {
  if (!key_file.empty()) return from_key_file(key_file);
  if (::isatty(STDIN_FILENO) == 0) return no_terminal(image);
  TRY(Secret first, ask_passphrase(fmt::format("New passphrase for {}: ", shown(image))));
  TRY(const Secret second, ask_passphrase("The same again: "));
  if (!std::ranges::equal(std::as_const(first).bytes(), second.bytes())) {
    return fail(ErrorKind::Denied, "{}: the two passphrases are not the same", shown(image));
  }
  return std::make_shared<const Secret>(std::move(first));
}

Result<std::shared_ptr<const Secret>> passphrase_for(const catalog::OpenRequest& request, const std::string& key_file) {
  return passphrase_for([&] { return catalog::encrypted_image(request); }, key_file);
}

Result<std::shared_ptr<const Secret>> passphrase_for(const FindEncrypted& find_encrypted, const std::string& key_file) {
  if (!key_file.empty()) return from_key_file(key_file);
  const auto encrypted = find_encrypted();
  if (!encrypted) return nullptr;
  if (::isatty(STDIN_FILENO) == 0) return no_terminal(*encrypted);
  TRY(Secret secret, ask_passphrase(fmt::format("Passphrase for {}: ", shown(*encrypted))));
  return std::make_shared<const Secret>(std::move(secret));
}

Result<catalog::Opened> open_with_passphrase(catalog::OpenRequest request, const std::string& key_file) {
  TRY(request.passphrase, passphrase_for(request, key_file));
  return catalog::open_image(request);
}

}  // namespace flatimg::tools
