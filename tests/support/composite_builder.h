// Builds the description of a composite disk byte by byte, without the engine's help and without protobuf, so that
// tests can say anything in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flatimg::test {

class CompositeBuilder {
 public:
  struct Part {
    std::string path;
    std::uint64_t offset = 0;
    std::uint64_t capability = 0;
    std::uint64_t file_offset = 0;
    std::string more = {};  // raw bytes behind the fields
  };

  CompositeBuilder& version(std::uint64_t number) { return number_field(1, number); }
  CompositeBuilder& length(std::uint64_t bytes) { return number_field(3, bytes); }
  CompositeBuilder& part(const Part& part) {
    std::string inside = text(1, part.path);
    if (part.offset != 0) inside += number(2, part.offset);
    if (part.capability != 0) inside += number(3, part.capability);
    if (part.file_offset != 0) inside += number(4, part.file_offset);
    return raw(text(2, inside + part.more));
  }
  CompositeBuilder& number_field(unsigned tag, std::uint64_t value) { return raw(number(tag, value)); }
  CompositeBuilder& raw(std::string_view bytes) {
    message_ += bytes;
    return *this;
  }

  [[nodiscard]] std::string bytes() const { return "composite_disk\x1d" + message_; }

  // --- protobuf ---
  [[nodiscard]] static std::string varint(std::uint64_t value) {
    std::string result;
    for (; value >= 0x80; value >>= 7) result += static_cast<char>(value | 0x80);
    return result + static_cast<char>(value);
  }
  [[nodiscard]] static std::string number(unsigned tag, std::uint64_t value) {
    return varint(tag << 3) + varint(value);
  }
  [[nodiscard]] static std::string text(unsigned tag, std::string_view bytes) {
    return varint(tag << 3 | 2) + varint(bytes.size()) + std::string(bytes);
  }

 private:
  std::string message_;
};

}  // namespace flatimg::test
