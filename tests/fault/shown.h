// What images and reports tell, as text that can be compared.
#pragma once

#include <string>

#include "fault/fault_trial.h"
#include "image/report.h"

namespace flatimg::test {

inline std::string shown_bytes(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// All of a disk, which is closed then; how it failed, when it did.
inline Result<std::string> shown_disk(Disk& disk) {
  std::vector<std::byte> content(disk.size().value());
  CHECK(disk.read(GuestOffset(0), content));
  CHECK(disk.close());
  return shown_bytes(content);
}

inline std::string shown_report(const CheckReport& report) {
  std::string text = fmt::format("{} {} {} {} {} {}\n", report.corruptions, report.leaks, report.check_errors,
                                 report.image_end.value(), report.allocated_clusters, report.compressed_clusters);
  for (const std::string& sentence : report.sentences) text += sentence + "\n";
  return text;
}

/// The bytes of the files themselves, for what must not change them.
inline std::string same_files(const Files& files) {
  std::string text;
  for (const auto& file : files) text += file ? shown_bytes(file->contents()) : "";
  return text;
}

}  // namespace flatimg::test
