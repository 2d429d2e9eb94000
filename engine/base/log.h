// Messages for the operator: to standard error while there is a terminal to read it, to syslog once detached.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string_view>

namespace flatimg {

enum class LogLevel { Error, Warning, Info, Debug };
enum class LogTarget { StandardError, Syslog };

/// Chooses where messages go and which are dropped. Call before threads start.
void configure_log(LogTarget target, LogLevel least);

/// Messages go there instead. Call before threads start; `sink` is called by any thread.
using LogSink = std::function<void(LogLevel, std::string_view)>;
void send_log_to(LogSink sink, LogLevel least);

/// Writes one line. Any thread.
void log_line(LogLevel level, std::string_view line);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace flatimg
