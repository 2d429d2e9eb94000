// What can go wrong, and how it is passed on.
//
// The kind is for decisions (it becomes an errno in fuse/, an exit code in tools/), the text is for people:
// "WHAT: WHY. WAY OUT" without a program name in front. Wrong bytes in an image are an Error, never an assert.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace flatimg {

enum class ErrorKind {
  Io,            // the host failed to read or write
  NoSpace,       // the host file system, a quota or the format has no room left
  InvalidImage,  // not an image of this format, or one that breaks its rules in the header
  CorruptImage,  // tables or data inside contradict each other
  Unsupported,   // a feature that is known or unknown, but not implemented
  Denied,        // permission, the gate, the raw guard, read-only
  ReadOnly,      // it could be written when it was opened, and has turned read-only since
  Busy,          // somebody else holds the image
  OutOfRange,    // a request beyond the end of the disk
  Limit,         // a bound of base/limits.h was reached
  NoMemory,
  BadUsage,  // options or arguments that make no sense
  NotFound,  // a file that is not there
};

struct Error {
  ErrorKind kind = ErrorKind::Io;
  int os_error = 0;  // errno of the system call that failed, 0 when none did
  std::string text;

  /// The same error, with what was being done in front.
  [[nodiscard]] Error within(std::string_view what) && {
    text = fmt::format("{}: {}", what, text);
    return std::move(*this);
  }
};

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(tl::expected<T, Error> other) : tl::expected<T, Error>(std::move(other)) {}
};

using Failure = tl::unexpected<Error>;

template <class... Args>
[[nodiscard]] Failure fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return Failure(Error{kind, 0, fmt::format(format, std::forward<Args>(args)...)});
}

/// An Error for a failed system call: the kind follows from errno, the text ends with its description.
[[nodiscard]] Error system_error(int os_error, std::string_view what);

template <class... Args>
[[nodiscard]] Failure fail_os(int os_error, fmt::format_string<Args...> format, Args&&... args) {
  return Failure(system_error(os_error, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace flatimg

#define FLATIMG_CONCAT_(a, b) a##b
#define FLATIMG_CONCAT(a, b) FLATIMG_CONCAT_(a, b)

// TRY(declaration, expression): unwraps a Result<T> or returns its Error from the enclosing function.
#define TRY(declaration, expression) TRY_AS_(FLATIMG_CONCAT(try_result_, __LINE__), declaration, expression)
#define TRY_AS_(name, declaration, expression)                   \
  auto name = (expression);                                      \
  if (!name) return ::flatimg::Failure(std::move(name.error())); \
  declaration = *std::move(name)

// CHECK(expression): the same for a Result<void>, or when the value is not wanted.
#define CHECK(expression)                                                                                            \
  do {                                                                                                               \
    if (auto check_result = (expression); !check_result) return ::flatimg::Failure(std::move(check_result.error())); \
  } while (false)
