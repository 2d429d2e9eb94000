#include "base/log.h"

#include <syslog.h>

#include <atomic>
#include <cstdio>

namespace flatimg {

namespace {

std::atomic<LogTarget> current_target{LogTarget::StandardError};
std::atomic<LogLevel> least_level{LogLevel::Warning};

int syslog_priority(LogLevel level) {
  switch (level) {
    case LogLevel::Error:
      return LOG_ERR;
    case LogLevel::Warning:
      return LOG_WARNING;
    case LogLevel::Info:
      return LOG_INFO;
    case LogLevel::Debug:
      return LOG_DEBUG;
  }
  return LOG_ERR;
}

LogSink& current_sink() {
  static LogSink sink;
  return sink;
}

}  // namespace

void send_log_to(LogSink sink, LogLevel least) {
  current_sink() = std::move(sink);
  least_level = least;
}

void configure_log(LogTarget target, LogLevel least) {
  if (target == LogTarget::Syslog) openlog("flatimg", LOG_PID, LOG_DAEMON);
  current_target = target;
  least_level = least;
}

void log_line(LogLevel level, std::string_view line) {
  if (level > least_level.load()) return;
  if (current_sink()) return current_sink()(level, line);
  if (current_target == LogTarget::Syslog) {
    syslog(syslog_priority(level), "%.*s", static_cast<int>(line.size()), line.data());
  } else {
    const auto text = fmt::format("flatimg: {}\n", line);
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
}

}  // namespace flatimg
