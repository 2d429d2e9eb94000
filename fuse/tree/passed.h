// Answers of the host that are passed on as they are: a value, or the errno.
#pragma once

#include <tl/expected.hpp>
#include <utility>

namespace flatimg::flat::tree {

template <class T>
using Passed = tl::expected<T, int>;

/// A failed call whose errno goes to the kernel.
[[nodiscard]] inline tl::unexpected<int> refused(int os_error) { return tl::unexpected<int>(os_error); }

}  // namespace flatimg::flat::tree

// PASS(declaration, expression): unwraps a Passed<T> or returns its errno from the enclosing function.
#define PASS_AS_(name, declaration, expression)                   \
  auto name = (expression);                                       \
  if (!name) return ::flatimg::flat::tree::refused(name.error()); \
  declaration = *std::move(name)
#define PASS_CONCAT_(a, b) a##b
#define PASS_CONCAT(a, b) PASS_CONCAT_(a, b)
#define PASS(declaration, expression) PASS_AS_(PASS_CONCAT(passed_, __LINE__), declaration, expression)
