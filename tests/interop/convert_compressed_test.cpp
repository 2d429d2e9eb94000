// flatimg convert -c: what comes out is read and judged by qemu-img.
#include "interop/conversion.h"

namespace flatimg::test {
namespace {

class ConvertCompressed : public Conversion {
 protected:
  /// Text that compresses, bytes that do not, zeroes, holes, and an end within a cluster.
  void make_source() const {
    must({"sh", "-c",
          "seq 400000 > source && head -c 700000 /dev/urandom >> source && head -c 500000 /dev/zero >> source && "
          "truncate -s 9M source && seq 100000 | head -c 300000 >> source && truncate -s $((9*1024*1024+333*1024)) "
          "source"});
  }
};

TEST_F(ConvertCompressed, GivesTheSameDiskInEveryLayoutOfQcow2) {
  make_source();
  for (const char* options :
       {"compat=1.1", "compat=0.10", "cluster_size=512", "cluster_size=4k", "cluster_size=2M",
        "extended_l2=on,cluster_size=16k", "refcount_bits=1", "refcount_bits=2", "refcount_bits=64,cluster_size=1k",
        "lazy_refcounts=on", "compression_type=zstd", "compression_type=zstd,cluster_size=512",
        "compression_type=zstd,extended_l2=on,refcount_bits=1", "preallocation=metadata"}) {
    SCOPED_TRACE(options);
    convert({"-c", "-f", "raw", "-O", "qcow2", "-o", options, "source", "target"});
    must({"qemu-img", "check", "-q", "target"});
    must({"qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", "source", "target"});
    EXPECT_EQ(flatimg({"check", "--data", "target"}).exit_code, 0);
    EXPECT_EQ(flatimg({"compare", "-f", "raw", "source", "target"}).exit_code, 0);
  }
}

TEST_F(ConvertCompressed, TakesAsLittleSpaceAsQemuImg) {
  make_source();
  for (const char* options : {"compression_type=zlib", "compression_type=zstd", "cluster_size=4k", "refcount_bits=1"}) {
    SCOPED_TRACE(options);
    convert({"-c", "-f", "raw", "-O", "qcow2", "-o", options, "source", "ours"});
    must({"qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, "source", "theirs"});
    EXPECT_LE(length_of("ours"), length_of("theirs") * 102 / 100 + 512 * 1024);
    expect_same_check("ours");
    EXPECT_EQ(json_in(flatimg({"check", "--output=json", "ours"}).output)["compressed-clusters"],
              json_in(flatimg({"check", "--output=json", "theirs"}).output)["compressed-clusters"]);
  }
}

TEST_F(ConvertCompressed, GivesTheSameBytesWithAnyNumberOfThreads) {
  make_source();
  convert({"-c", "-T", "1", "-f", "raw", "-O", "qcow2", "source", "one"});
  convert({"-c", "-T", "7", "-f", "raw", "-O", "qcow2", "source", "seven"});
  must({"cmp", "one", "seven"});
}

TEST_F(ConvertCompressed, WritesImagesThatCanBeWrittenToAfterwards) {
  make_source();
  convert({"-c", "-f", "raw", "-O", "qcow2", "source", "target"});
  must({"cp", "source", "plain"});
  for (const char* command : {"write -P 7 0 200k", "write -P 8 1000k 3k", "write -z 2M 1M", "discard 5M 1M"}) {
    if (std::string_view(command).starts_with("write")) must({"qemu-io", "-f", "raw", "-c", command, "plain"});
    if (std::string_view(command).starts_with("discard"))
      must({"qemu-io", "-f", "raw", "-c", "write -z 5M 1M", "plain"});
    must({"qemu-io", "-c", command, "target"});
  }
  must({"qemu-img", "check", "-q", "target"});
  must({"qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", "plain", "target"});
}

TEST_F(ConvertCompressed, GivesQcowImages) {
  make_source();
  for (const char* options : {"xen=off", "xen=sparse"}) {
    SCOPED_TRACE(options);
    convert({"-c", "-f", "raw", "-O", "qcow", "-o", options, "source", "target"});
    must({"qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow", "source", "target"});
    EXPECT_EQ(flatimg({"check", "--data", "target"}).exit_code, 0);
    EXPECT_EQ(flatimg({"compare", "-f", "raw", "source", "target"}).exit_code, 0);
    EXPECT_LT(length_of("target"), 2500000);
  }
}

TEST_F(ConvertCompressed, RefusesWhatCannotBeCompressed) {
  make_source();
  must({"sh", "-c", "printf one > key"});
  const std::string before = in_directory({"ls", "-A"}).output;
  expect_refused({"convert", "-c", "-f", "raw", "-O", "raw", "source", "target"}, "use qcow2, qcow or -O zstd");
  expect_refused({"convert", "-c", "-f", "raw", "-O", "sparse", "source", "target"}, "use qcow2, qcow or -O zstd");
  expect_refused({"convert", "-c", "-f", "raw", "-O", "zstd", "source", "target"}, "leave it out");
  expect_refused({"convert", "-c", "-f", "raw", "-O", "qcow", "-o", "xen=preallocated", "source", "target"},
                 "preallocated extents cannot hold compressed data");
  expect_refused({"convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "encrypt.format=luks,encrypt.iter-time=10",
                  "--target-key-file", "key", "source", "target"},
                 "an encrypted image cannot hold compressed data");
  EXPECT_EQ(in_directory({"ls", "-A"}).output, before);
}

}  // namespace
}  // namespace flatimg::test
