#include "composite/describe.h"

#include "composite/header.h"

namespace flatimg::composite {

namespace {

InfoValue part_info(const Part& part) {
  return {InfoFields{{"filename", {part.path}},
                     {"offset", {part.where.begin.value()}},
                     {"length", {part.where.length.value()}},
                     {"file-offset", {part.file_offset.value()}},
                     {"writable", {part.writable()}}}};
}

}  // namespace

Result<ImageInfo> describe(HostFile& file) {
  TRY(const Header header, read_header(file));
  ImageInfo info;
  info.format = "composite";
  info.virtual_size = header.length;
  TRY(info.actual_size, file.allocated());
  InfoList parts;
  for (const Part& part : header.parts) parts.push_back(part_info(part));
  info.details = {{"version", {header.version}}, {"parts", {std::move(parts)}}};
  return info;
}

}  // namespace flatimg::composite
