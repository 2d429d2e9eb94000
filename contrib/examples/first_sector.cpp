// Prints the first sector of a disk, whatever the format of its image:
//   c++ -std=c++20 first_sector.cpp $(pkg-config --cflags --libs flatimg-engine) -o first_sector
#include <array>
#include <catalog/open.h>
#include <iostream>
#include <view/disk.h>

using namespace flatimg;

int main(int, char** argv) {
  catalog::OpenRequest request;
  request.path = argv[1];
  request.access = Access::ReadOnly;
  auto opened = catalog::open_image(request);
  if (!opened) return std::cerr << opened.error().text << "\n", 1;
  Disk disk(std::move(opened->chain), {});
  std::array<std::byte, 512> sector{};
  if (auto read = disk.read(GuestOffset(0), sector); !read) return std::cerr << read.error().text << "\n", 1;
  std::cout.write(reinterpret_cast<const char*>(sector.data()), sector.size());
  return disk.close() ? 0 : 1;
}
