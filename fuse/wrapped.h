// Handlers as libfuse calls them: counted, and with no exception that would fly through libfuse's C.
#pragma once

#include <cerrno>
#include <chrono>
#include <new>

#include "fuse/reply.h"

namespace flatimg::flat {

template <auto Handler>
struct Wrapped;

template <class... Arguments, void (*Handler)(fuse_req_t, Arguments...)>
struct Wrapped<Handler> {
  template <Request kind>
  static void counted(fuse_req_t request, Arguments... arguments) noexcept {
    RequestCounters& counters = mount_of(request).counters;  // the request is gone when it has been answered
    const auto begin = std::chrono::steady_clock::now();
    counters.count(kind);
    plain(request, arguments...);
    counters.took(kind, std::chrono::steady_clock::now() - begin);
  }
  static void plain(fuse_req_t request, Arguments... arguments) noexcept {
    try {
      Handler(request, arguments...);
    } catch (const std::bad_alloc&) {
      fuse_reply_err(request, ENOMEM);  // handlers answer last: this one has not
    }
  }
};

template <auto Handler, Request kind>
inline constexpr auto counted = &Wrapped<Handler>::template counted<kind>;
template <auto Handler>
inline constexpr auto plain = &Wrapped<Handler>::plain;

}  // namespace flatimg::flat
