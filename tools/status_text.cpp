// The words and numbers of `flatimg status`. Fields that a helper of another version does not give count as zero.
#include "tools/status_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>

#include "tools/image_options.h"
#include "tools/progress_bar.h"

namespace flatimg::tools {

namespace {

using Json = nlohmann::ordered_json;

std::uint64_t number(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<std::uint64_t>() : 0;
}

const Json& object_in(const Json& object, const char* name) {
  static const Json none = Json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : none;
}

// --- the table ------------------------------------------------------------------------------------------------------

std::string value_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

bool is_shown(const std::string& name) { return name != "classes"; }

std::size_t longest_name(const Json& object) {
  std::size_t longest = 0;
  for (const auto& [name, value] : object.items()) {
    if (is_shown(name)) longest = std::max(longest, value.is_object() ? longest_name(value) + 2 : name.size());
  }
  return longest;
}

void add_table(std::string& text, const Json& object, const std::string& indent, std::size_t width) {
  for (const auto& [name, value] : object.items()) {
    if (!is_shown(name)) continue;
    if (value.is_object()) {
      text += fmt::format("{}{}\n", indent, name);
      add_table(text, value, indent + "  ", width - 2);
    } else {
      text += fmt::format("{}{:<{}}  {:>{}}\n", indent, name, width, value_text(value), value.is_number() ? 14 : 0);
    }
  }
}

// --- between two answers --------------------------------------------------------------------------------------------

/// How many requests ended in which class of times, by the class's end in nanoseconds.
using Classes = std::map<std::uint64_t, std::uint64_t>;

Classes classes_of(const Json& status, const std::string& request) {
  Classes classes;
  const Json& latency = object_in(object_in(status, "latency"), request.c_str());
  if (const auto found = latency.find("classes"); found != latency.end() && found->is_array()) {
    for (const Json& one : *found) classes[one.at(0).get<std::uint64_t>()] = one.at(1).get<std::uint64_t>();
  }
  return classes;
}

Classes difference(Classes now, const Classes& before) {
  for (const auto& [end, count] : before) now[end] -= std::min(now[end], count);
  return now;
}

std::string short_latency(double nanoseconds) {
  if (nanoseconds < 1e6) return fmt::format("{:.0f} us", std::max(1.0, nanoseconds / 1e3));
  if (nanoseconds < 1e9) return fmt::format("{:.3g} ms", nanoseconds / 1e6);
  return fmt::format("{:.3g} s", nanoseconds / 1e9);
}

std::string percentile(const Classes& classes, double share) {
  std::uint64_t all = 0;
  for (const auto& [end, count] : classes) all += count;
  if (all == 0) return "-";
  const auto wanted = static_cast<std::uint64_t>(std::ceil(static_cast<double>(all) * share));
  std::uint64_t seen = 0;
  for (const auto& [end, count] : classes) {
    if ((seen += count) >= wanted) return short_latency(static_cast<double>(end));
  }
  return "-";
}

std::string rate_line(const std::string& request, const Json& before, const Json& now, double seconds,
                      const char* bytes_field) {
  const std::uint64_t requests =
      number(object_in(now, "requests"), request.c_str()) - number(object_in(before, "requests"), request.c_str());
  const Classes classes = difference(classes_of(now, request), classes_of(before, request));
  std::string bytes = "-";
  if (bytes_field != nullptr) {
    const double moved = static_cast<double>(number(now, bytes_field) - number(before, bytes_field));
    bytes = short_size(ByteCount(static_cast<std::uint64_t>(moved / seconds))) + "/s";
  }
  return fmt::format("{:<10}{:>12.0f}{:>14}{:>12}{:>12}\n", request, static_cast<double>(requests) / seconds, bytes,
                     percentile(classes, 0.5), percentile(classes, 0.99));
}

/// Of all caches of the image together.
std::string cache_share(const Json& before, const Json& now) {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  for (const auto& [name, value] : now.items()) {
    if (!value.is_number_unsigned()) continue;
    const std::uint64_t more = value.get<std::uint64_t>() - number(before, name.c_str());
    if (name.ends_with("-cache-hits")) hits += more;
    if (name.ends_with("-cache-misses")) misses += more;
  }
  if (hits + misses == 0) return "-";
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(hits) / static_cast<double>(hits + misses));
}

std::string last_flush(const Json& image) {
  const std::uint64_t end = number(image, "last-flush");
  if (end == 0) return "none";
  const auto now = static_cast<std::uint64_t>(std::time(nullptr));
  return fmt::format("{} ago, took {}", short_time(std::chrono::seconds(now > end ? now - end : 0)),
                     short_latency(static_cast<double>(number(image, "last-flush-us")) * 1e3));
}

std::string image_line(const Json& before, const Json& now) {
  return fmt::format("cache hits {}, dirty table pages {}, last flush {}, failed flushes {}\n",
                     cache_share(before, now), number(now, "l2-dirty-pages") + number(now, "refcount-dirty-pages"),
                     last_flush(now), number(now, "flush-failures"));
}

// --- Prometheus -----------------------------------------------------------------------------------------------------

std::string label_value(std::string text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    c == '\n' ? escaped += "\\n" : escaped += c;
  }
  return escaped;
}

class Metrics {
 public:
  explicit Metrics(std::string labels) : labels_(std::move(labels)) {}

  void type(const std::string& name, const char* type, const char* help) {
    text_ += fmt::format("# HELP flatimg_{} {}\n# TYPE flatimg_{} {}\n", name, help, name, type);
  }
  template <class Value>
  void value(const std::string& name, const std::string& more_labels, const Value& value) {
    text_ += fmt::format("flatimg_{}{{{}{}}} {}\n", name, labels_, more_labels, value);
  }
  template <class Value>
  void alone(const std::string& name, const char* kind, const char* help, const Value& what) {
    type(name, kind, help);
    value(name, "", what);
  }
  [[nodiscard]] std::string text() && { return std::move(text_); }

 private:
  std::string labels_;
  std::string text_;
};

void add_requests(Metrics& metrics, const Json& status) {
  metrics.type("requests_total", "counter", "Requests from the kernel.");
  for (const auto& [name, count] : object_in(status, "requests").items()) {
    metrics.value("requests_total", fmt::format(",request=\"{}\"", name), count.get<std::uint64_t>());
  }
}

/// The bounds are the same ones each time, as Prometheus wants it: a microsecond, four times that, and so on to
/// seconds.
void add_latencies(Metrics& metrics, const Json& status) {
  constexpr unsigned kFirstPower = 10;  // of two, in nanoseconds
  constexpr unsigned kLastPower = 34;
  const std::string name = "request_duration_seconds";
  metrics.type(name, "histogram", "Time from taking a request until it is answered.");
  for (const auto& [request, latency] : object_in(status, "latency").items()) {
    const std::string label = fmt::format(",request=\"{}\"", request);
    const Classes classes = classes_of(status, request);
    const auto up_to = [&](std::uint64_t bound) {
      std::uint64_t count = 0;
      for (const auto& [end, inside] : classes) count += end <= bound ? inside : 0;
      return count;
    };
    for (unsigned power = kFirstPower; power <= kLastPower; power += 2) {
      const std::uint64_t bound = std::uint64_t{1} << power;
      const double seconds = static_cast<double>(bound) / 1e9;
      metrics.value(name + "_bucket", fmt::format("{},le=\"{:.9g}\"", label, seconds), up_to(bound));
    }
    const std::uint64_t all = up_to(~std::uint64_t{0});
    metrics.value(name + "_bucket", label + ",le=\"+Inf\"", all);
    metrics.value(name + "_sum", label, latency.value("total-us", 0.0) / 1e6);
    metrics.value(name + "_count", label, all);
  }
}

void add_image_counters(Metrics& metrics, const Json& image, const std::string& labels) {
  for (const auto& [name, value] : image.items()) {
    if (value.is_number()) {
      metrics.value("image", fmt::format("{},counter=\"{}\"", labels, name), value.get<std::uint64_t>());
    }
  }
}

void add_images(Metrics& metrics, const Json& status) {
  metrics.type("image", "gauge", "Counters of an image, as flatimg status names them.");
  add_image_counters(metrics, object_in(status, "image"), "");
  for (const auto& [path, image] : object_in(status, "open-images").items()) {
    add_image_counters(metrics, object_in(image, "image"), fmt::format(",image=\"{}\"", label_value(path)));
  }
}

}  // namespace

std::string status_table(const Json& status) {
  std::string text;
  add_table(text, status, "", longest_name(status));
  return text;
}

std::string status_between(const Json& before, const Json& now, std::chrono::duration<double> time) {
  const double seconds = std::max(time.count(), 1e-3);
  std::string text =
      fmt::format("{} on {}\n", now.value("filename", now.value("directory", "")), now.value("mountpoint", ""));
  text += fmt::format("{:<10}{:>12}{:>14}{:>12}{:>12}\n", "", "requests/s", "bytes", "p50", "p99");
  text += rate_line("read", before, now, seconds, "bytes-read");
  text += rate_line("write", before, now, seconds, "bytes-written");
  for (const char* request : {"fsync", "fallocate", "lseek", "lookup"}) {
    text += rate_line(request, before, now, seconds, nullptr);
  }
  text += fmt::format("open files {}, errors {} (+{})\n", number(now, "open-files"), number(now, "errors"),
                      number(now, "errors") - number(before, "errors"));
  if (now.contains("image")) text += image_line(object_in(before, "image"), object_in(now, "image"));
  return text;
}

std::string status_for_prometheus(const Json& status) {
  const std::string name = status.value("filename", status.value("directory", ""));
  Metrics metrics(
      fmt::format("source=\"{}\",mountpoint=\"{}\"", label_value(name), label_value(status.value("mountpoint", ""))));
  metrics.alone("read_bytes_total", "counter", "Bytes that programs have read.", number(status, "bytes-read"));
  metrics.alone("written_bytes_total", "counter", "Bytes that programs have written.", number(status, "bytes-written"));
  metrics.alone("errors_total", "counter", "Requests that were answered with an error of the image or the host.",
                number(status, "errors"));
  metrics.alone("open_files", "gauge", "Open files of the mount.", number(status, "open-files"));
  add_requests(metrics, status);
  add_latencies(metrics, status);
  add_images(metrics, status);
  return std::move(metrics).text();
}

}  // namespace flatimg::tools
