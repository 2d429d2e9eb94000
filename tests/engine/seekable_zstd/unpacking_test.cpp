// Files whose frames are too large to be decoded one by one: decoded as a whole.
#include <gtest/gtest.h>

#include "seekable_zstd/unpacked_image.h"
#include "support/forwarding_file.h"
#include "support/matchers.h"
#include "support/zstd_builder.h"

namespace flatimg::seekable_zstd {
namespace {

using test::FailsWith;
using test::MemoryFile;
using test::Succeeds;
using test::ZstdBuilder;
using Size = ZstdBuilder::Size;

constexpr UnpackLimits kLimits{8_MiB, 64_MiB};

/// Text, zeroes, text again; the end within a block.
std::string some_disk() {
  std::string disk;
  for (unsigned n = 0; disk.size() < 3'000'000; ++n) disk += std::to_string(n) + ' ';
  return disk + std::string(5'000'000, '\0') + disk + "end";
}

/// Keeps what it is told to keep, in memory.
class MemoryUnpackedFiles final : public UnpackedFiles {
 public:
  Result<std::unique_ptr<HostFile>> find(HostFile& /*packed*/) override {
    if (!kept) return std::unique_ptr<HostFile>();
    return std::make_unique<test::ForwardingFile>(kept);
  }
  Result<std::unique_ptr<HostFile>> begin(HostFile& /*packed*/) override {
    ++begun;
    last = std::make_shared<MemoryFile>("unpacked");
    return std::make_unique<test::ForwardingFile>(last);
  }
  Result<void> keep(HostFile& /*packed*/, HostFile& /*unpacked*/) override {
    kept = last;
    return {};
  }
  [[nodiscard]] std::string where() const override { return "memory"; }

  std::shared_ptr<MemoryFile> last;
  std::shared_ptr<MemoryFile> kept;
  unsigned begun = 0;
};

std::string content_of(Image& image) {
  std::string content(image.size().value(), '?');
  const auto out = std::as_writable_bytes(std::span(content));
  for (GuestRange left{GuestOffset(0), image.size()}; !left.empty();) {
    const auto extent = image.map(left, Look::Data);
    EXPECT_THAT(extent, Succeeds());
    if (!extent) break;
    const auto& file = std::get<InFile>(extent->source);
    EXPECT_FALSE(file.in_place);
    const auto part = out.subspan(left.begin.value(), extent->where.length.value());
    EXPECT_THAT(file.file->read(file.at, part), Succeeds());
    left = left.without_first(extent->where.length);
  }
  return content;
}

/// Until everything is there, and kept.
void unpack_once(const ZstdBuilder& file, const std::shared_ptr<MemoryUnpackedFiles>& files) {
  auto image = UnpackedImage::open(file.file(), {files, kLimits, ""});
  ASSERT_THAT(image, Succeeds());
  (void)content_of(**image);
}

TEST(Unpacking, ShowsWhatAllFramesHold) {
  const std::string disk = some_disk();
  for (const Size size : {Size::Stated, Size::Unstated}) {
    ZstdBuilder file;
    file.skippable("in front");
    file.frame(disk, size);
    file.skippable("between");
    file.frame("more", size);
    const auto files = std::make_shared<MemoryUnpackedFiles>();
    auto image = UnpackedImage::open(file.file(), {files, kLimits, "why"});
    ASSERT_THAT(image, Succeeds());
    EXPECT_EQ((*image)->size(), ByteCount(disk.size() + 4));
    EXPECT_TRUE(content_of(**image) == disk + "more");
    EXPECT_FALSE((*image)->traits().writable);
    EXPECT_EQ((*image)->traits().read_only_reason, "why");
  }
}

TEST(Unpacking, LeavesHolesWhereZeroesAre) {
  ZstdBuilder file;
  file.frame(some_disk());
  const auto files = std::make_shared<MemoryUnpackedFiles>();
  unpack_once(file, files);
  ASSERT_NE(files->kept, nullptr);
  EXPECT_LT(files->kept->allocated()->value(), 7'000'000u);
}

TEST(Unpacking, IsDoneOnceForAFileThatIsKept) {
  ZstdBuilder file;
  const std::string disk = some_disk();
  file.frame(disk);
  const auto files = std::make_shared<MemoryUnpackedFiles>();
  for (unsigned n = 0; n < 3; ++n) {
    auto image = UnpackedImage::open(file.file(), {files, kLimits, ""});
    ASSERT_THAT(image, Succeeds());
    EXPECT_TRUE(content_of(**image) == disk);
    EXPECT_EQ((*image)->being_unpacked_to().has_value(), n == 0);
  }
  EXPECT_EQ(files->begun, 1u);
}

TEST(Unpacking, KnowsHolesOfAFileThatWasKept) {
  ZstdBuilder file;
  file.frame(some_disk());
  const auto files = std::make_shared<MemoryUnpackedFiles>();
  unpack_once(file, files);
  auto image = UnpackedImage::open(file.file(), {files, kLimits, ""});
  ASSERT_THAT(image, Succeeds());
  const auto hole = (*image)->map({GuestOffset(5'000'000), ByteCount(1'000'000)}, Look::Holes);
  ASSERT_THAT(hole, Succeeds());
  EXPECT_TRUE(std::holds_alternative<Zeroes>(hole->source));
}

TEST(Unpacking, DoesNotUseAKeptFileOfAnotherLength) {
  ZstdBuilder file;
  const std::string disk = some_disk();
  file.frame(disk);
  const auto files = std::make_shared<MemoryUnpackedFiles>();
  files->kept = std::make_shared<MemoryFile>();
  auto image = UnpackedImage::open(file.file(), {files, kLimits, ""});
  ASSERT_THAT(image, Succeeds());
  EXPECT_TRUE(content_of(**image) == disk);
}

TEST(Unpacking, GivesNothingOnceItHasMetDamage) {
  ZstdBuilder file;
  const std::string disk = some_disk();
  file.frame(disk);
  file.put8(file.frame("more") + 5, 5);  // says that it holds five bytes
  const auto files = std::make_shared<MemoryUnpackedFiles>();
  auto image = UnpackedImage::open(file.file(), {files, kLimits, ""});
  ASSERT_THAT(image, Succeeds());
  const GuestOffset end = GuestOffset(0) + (*image)->size();
  EXPECT_THAT((*image)->map({end - 1_B, 1_B}, Look::Data), FailsWith(ErrorKind::CorruptImage, "damaged"));
  EXPECT_THAT((*image)->map({GuestOffset(0), 100_B}, Look::Data), FailsWith(ErrorKind::CorruptImage, "damaged"));
  image->reset();
  EXPECT_EQ(files->kept, nullptr);
}

TEST(Unpacking, RefusesWhatIsTooLargeOrDamagedWhenTheSizeIsNotStated) {
  ZstdBuilder bomb;
  bomb.add(ZstdBuilder::bomb(1000), "");  // 125 MiB
  ZstdBuilder stated;
  stated.frame(std::string(65'000'000 + (4 << 20), 'a'));
  for (const ZstdBuilder* file : {&bomb, &stated}) {
    EXPECT_THAT(UnpackedImage::open(file->file(), {std::make_shared<MemoryUnpackedFiles>(), kLimits, ""}),
                FailsWith(ErrorKind::Limit, "raise unpack-size"));
  }
  ZstdBuilder cut;
  cut.frame(some_disk(), Size::Unstated);
  cut.truncate(cut.end() - 10);
  EXPECT_THAT(UnpackedImage::open(cut.file(), {std::make_shared<MemoryUnpackedFiles>(), kLimits, ""}),
              FailsWith(ErrorKind::InvalidImage, "incomplete"));
}

TEST(Unpacking, RefusesWindowsThatTakeTooMuchMemory) {
  ZstdBuilder file;
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 24);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  const std::string disk(40 << 20, 'x');
  std::string out(1 << 20, '\0');
  ZSTD_inBuffer input{disk.data(), disk.size(), 0};
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  (void)ZSTD_compressStream2(context, &output, &input, ZSTD_e_continue);
  (void)ZSTD_compressStream2(context, &output, &input, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  file.add(out.substr(0, output.pos), disk);
  const auto open_with = [&](ByteCount window) {
    return UnpackedImage::open(file.file(), {std::make_shared<MemoryUnpackedFiles>(), {window, 64_MiB}, ""});
  };
  EXPECT_THAT(open_with(8_MiB), FailsWith(ErrorKind::Limit, "raise cache-size"));
  EXPECT_THAT(open_with(16_MiB), Succeeds());
}

TEST(Unpacking, IsNotNeededForTheSize) {
  ZstdBuilder file;
  file.frame(some_disk());
  const auto packed = file.file();
  const auto image = image_of_size(*packed);
  ASSERT_THAT(image, Succeeds());
  EXPECT_EQ((*image)->size(), ByteCount(file.disk().size()));
  ZstdBuilder unstated;
  unstated.frame(some_disk(), Size::Unstated);
  const auto other = unstated.file();
  EXPECT_THAT(image_of_size(*other), FailsWith(ErrorKind::Unsupported, "do not state their size"));
}

}  // namespace
}  // namespace flatimg::seekable_zstd
