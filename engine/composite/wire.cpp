#include "composite/wire.h"

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "base/limits.h"
#include "base/utf8.h"

namespace flatimg::composite::wire {

namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;
using WireType = protozero::pbf_wire_type;

namespace disk {
constexpr protozero::pbf_tag_type kVersion = 1, kComponent = 2, kLength = 3;
}
namespace component {
constexpr protozero::pbf_tag_type kPath = 1, kOffset = 2, kCapability = 3, kFileOffset = 4;
}

Result<void> must_be(const pbf_reader& field, WireType type, std::string_view name) {
  if (field.has_wire_type(type)) return {};
  return fail(ErrorKind::InvalidImage, "the field {} is not of its type", name);
}

Result<std::uint64_t> number_in(pbf_reader& field, std::string_view name) {
  CHECK(must_be(field, WireType::varint, name));
  return field.get_uint64();
}

Result<std::string> text_in(pbf_reader& field, std::string_view name) {
  CHECK(must_be(field, WireType::length_delimited, name));
  std::string text = field.get_string();
  if (!is_utf8(text)) return fail(ErrorKind::InvalidImage, "the field {} is not UTF-8", name);
  return text;
}

Result<Component> component_in(pbf_reader& field) {
  CHECK(must_be(field, WireType::length_delimited, "component_disks"));
  pbf_reader reader = field.get_message();
  Component result;
  while (reader.next()) {
    if (reader.tag() == component::kPath) {
      TRY(result.file_path, text_in(reader, "file_path"));
    } else if (reader.tag() == component::kOffset) {
      TRY(result.offset, number_in(reader, "offset"));
    } else if (reader.tag() == component::kCapability) {
      TRY(result.capability, number_in(reader, "read_write_capability"));
    } else if (reader.tag() == component::kFileOffset) {
      TRY(result.file_offset, number_in(reader, "file_offset"));
    } else {
      reader.skip();
    }
  }
  return result;
}

Result<void> add_component(Message& message, pbf_reader& field) {
  if (message.components.size() >= limits::kCompositeParts) {
    return fail(ErrorKind::Limit, "more than {} parts", limits::kCompositeParts);
  }
  TRY(Component component, component_in(field));
  message.components.push_back(std::move(component));
  return {};
}

Result<Message> message_in(pbf_reader reader) {
  Message message;
  while (reader.next()) {
    if (reader.tag() == disk::kVersion) {
      TRY(message.version, number_in(reader, "version"));
    } else if (reader.tag() == disk::kComponent) {
      CHECK(add_component(message, reader));
    } else if (reader.tag() == disk::kLength) {
      TRY(message.length, number_in(reader, "length"));
    } else {
      reader.skip();
    }
  }
  return message;
}

// Zero is what an absent field means; writers leave it out.
void add_number(pbf_writer& to, protozero::pbf_tag_type tag, std::uint64_t number) {
  if (number != 0) to.add_uint64(tag, number);
}

}  // namespace

Result<Message> decode(std::span<const std::byte> bytes) {
  try {
    return message_in(pbf_reader(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  } catch (const protozero::exception& broken) {
    return fail(ErrorKind::InvalidImage, "its description of the parts is damaged or cut off ({})", broken.what());
  }
}

std::string encode(const Message& message) {
  std::string bytes;
  pbf_writer writer(bytes);
  add_number(writer, disk::kVersion, message.version);
  for (const Component& part : message.components) {
    pbf_writer inner(writer, disk::kComponent);
    if (!part.file_path.empty()) inner.add_string(component::kPath, part.file_path);
    add_number(inner, component::kOffset, part.offset);
    add_number(inner, component::kCapability, part.capability);
    add_number(inner, component::kFileOffset, part.file_offset);
  }
  add_number(writer, disk::kLength, message.length);
  return bytes;
}

}  // namespace flatimg::composite::wire
