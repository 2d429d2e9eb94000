// What one step of the engine costs, without the kernel's side: looking up a place (through the table cache), reading
// and writing through the view, taking clusters, decoding. Google Benchmark; a 1 GiB qcow2 with all tables, in a sparse
// file.
#include <benchmark/benchmark.h>

#include <random>

#include "codec/deflate.h"
#include "codec/zstd.h"
#include "host/new_file.h"
#include "host/posix_file.h"
#include "qcow2/create.h"
#include "qcow2/free_space.h"
#include "qcow2/qcow2_image.h"
#include "support/temp_dir.h"
#include "view/disk.h"

namespace flatimg {
namespace {

constexpr ByteCount kDiskSize{1u << 30};
constexpr std::uint64_t kRequest = 4096;

template <class Value>
Value must(Result<Value> result) {
  if (!result) throw std::runtime_error(result.error().text);
  return *std::move(result);
}
void must(const Result<void>& result) {
  if (!result) throw std::runtime_error(result.error().text);
}

/// All tables there, all data holes of the file.
std::string image_with_tables() {
  static const test::TempDir folder;
  static const std::string path = [] {
    const std::string made = folder / "disk.qcow2";
    NewFile file = must(NewFile::at(made));
    qcow2::CreateOptions options;
    options.size = kDiskSize;
    options.preallocation = qcow2::Preallocation::Metadata;
    must(qcow2::create(file.file(), nullptr, options));
    file.keep();
    return made;
  }();
  return path;
}

std::unique_ptr<qcow2::Qcow2Image> open_qcow2() {
  auto file = must(open_host_file(image_with_tables(), Access::ReadWrite));
  qcow2::Header header = must(qcow2::read_header(*file));
  qcow2::OpenOptions options;
  options.writable = true;
  return must(qcow2::Qcow2Image::open(std::move(file), std::move(header), nullptr, nullptr, options));
}

Disk& shared_disk() {
  static Disk disk = [] {
    std::vector<std::unique_ptr<Image>> chain;
    chain.push_back(open_qcow2());
    return Disk(std::move(chain), {});
  }();
  return disk;
}

class Places {
 public:
  explicit Places(int seed) : random_(static_cast<std::uint64_t>(seed)) {}
  GuestOffset next() { return GuestOffset(random_() % (kDiskSize.value() / kRequest) * kRequest); }

 private:
  std::minstd_rand random_;
};

void Map(benchmark::State& state) {
  static const std::unique_ptr<qcow2::Qcow2Image> image = open_qcow2();
  Places places(state.thread_index());
  for (auto _ : state) benchmark::DoNotOptimize(image->map({places.next(), ByteCount(kRequest)}, Look::Data));
}
BENCHMARK(Map)->ThreadRange(1, 2)->UseRealTime();

void Read(benchmark::State& state) {
  Disk& disk = shared_disk();
  Places places(state.thread_index());
  std::vector<std::byte> bytes(kRequest);
  for (auto _ : state) must(disk.read(places.next(), bytes));
}
BENCHMARK(Read)->ThreadRange(1, 2)->UseRealTime();

void Write(benchmark::State& state) {
  Disk& disk = shared_disk();
  Places places(state.thread_index());
  const std::vector<std::byte> bytes(kRequest, std::byte{7});
  for (auto _ : state) must(disk.write(places.next(), bytes));
}
BENCHMARK(Write)->ThreadRange(1, 2)->UseRealTime();

void TakeCluster(benchmark::State& state) {
  const auto file = must(open_host_file(image_with_tables(), Access::ReadWrite));
  qcow2::FreeSpace space(*file, must(qcow2::read_header(*file)), ByteCount(1u << 20));
  must(space.open());
  for (auto _ : state) {
    const auto grant = must(space.take(1));
    space.give_back(grant);
  }
}
BENCHMARK(TakeCluster);

/// Compresses to about a third.
std::vector<std::byte> some_text(std::size_t size) {
  std::vector<std::byte> text(size);
  std::minstd_rand random(1);
  for (std::size_t n = 0; n < size; ++n) {
    text[n] = n % 64 < 40 && n >= 4096 ? text[n - 4096] : static_cast<std::byte>('a' + random() % 16);
  }
  return text;
}

void Inflate(benchmark::State& state) {
  const std::vector<std::byte> text = some_text(static_cast<std::size_t>(state.range(0)));
  std::vector<std::byte> packed(text.size());
  packed.resize(must(deflate_into(text, packed)));
  std::vector<std::byte> out(text.size());
  for (auto _ : state) must(inflate_exactly(packed, out));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(Inflate)->Arg(4 << 10)->Arg(64 << 10)->Arg(2 << 20);

void InflateZstd(benchmark::State& state) {
  const std::vector<std::byte> text = some_text(static_cast<std::size_t>(state.range(0)));
  const std::vector<std::byte> packed = must(zstd_frame(text, {}));
  std::vector<std::byte> out(text.size());
  for (auto _ : state) must(inflate_zstd_exactly(packed, out));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(InflateZstd)->Arg(4 << 10)->Arg(64 << 10)->Arg(2 << 20);

}  // namespace
}  // namespace flatimg

BENCHMARK_MAIN();
