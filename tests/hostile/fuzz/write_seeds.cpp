// write_seeds FORMAT DIRECTORY: the images that a fuzzer begins with.
#include <cstdio>
#include <fstream>

#include "hostile/small_images.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: write_seeds FORMAT DIRECTORY\n", stderr), 1;
  int number = 0;
  for (const std::string& image : flatimg::test::small_images(argv[1])) {
    std::ofstream(std::string(argv[2]) + "/seed-" + std::to_string(number++), std::ios::binary) << image;
  }
  return number > 0 ? 0 : 1;
}
