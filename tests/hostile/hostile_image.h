// What tests of hostile images share: the steps that a caged process takes, and the judgement on the file afterwards.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "catalog/open.h"
#include "hostile/cage.h"
#include "support/qcow2_builder.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg::test {

using Break = std::function<void(Qcow2Builder&)>;

inline catalog::OpenRequest request_for(const std::string& path, Access access) {
  catalog::OpenRequest request;
  request.path = path;
  request.format = "qcow2";
  request.access = access;
  return request;
}

/// Opens the image, does something with it and closes it.
inline Result<void> with_disk(const catalog::OpenRequest& request, const std::function<Result<void>(Disk&)>& work) {
  TRY(auto opened, catalog::open_image(request));
  Disk disk(std::move(opened.chain), DiskOptions{});
  const auto worked = work(disk);
  const auto closed = disk.close();
  return worked ? closed : worked;
}

inline Result<void> nothing(Disk& /*disk*/) { return {}; }

/// Reads all of the disk, as far as that is reasonable.
inline Result<void> read_everything(Disk& disk) {
  std::vector<std::byte> bytes(64 << 10);
  const std::uint64_t most = std::min<std::uint64_t>(disk.size().value(), 16 << 20);
  for (std::uint64_t at = 0; at < most; at += bytes.size()) {
    CHECK(disk.read(GuestOffset(at), std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), most - at))));
  }
  return {};
}

/// Opening it for reading and for writing, in that order; the file must stay as it is. Returns the second verdict.
inline Verdict open_both_ways(const std::string& path) {
  const std::string before = contents_of(path);
  Verdict verdict;
  for (const Access access : {Access::ReadOnly, Access::ReadWrite}) {
    verdict = in_cage([&] { return with_disk(request_for(path, access), nothing); });
    EXPECT_EQ(complaint_about(verdict), "");
    EXPECT_TRUE(contents_of(path) == before) << "opening it has changed the file";
  }
  return verdict;
}

}  // namespace flatimg::test
