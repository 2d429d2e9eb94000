// Encrypted images between QEMU and flatimg: what the one made and wrote the other reads, for every cipher, mode, IV
// generator and hash that both have.
#include <algorithm>
#include <fstream>

#include "catalog/open.h"
#include "interop/both_programs.h"
#include "support/matchers.h"
#include "view/disk.h"

namespace flatimg::test {
namespace {

constexpr std::size_t kSize = 3u << 20;

class QemuEncryption : public BothPrograms {
 protected:
  void SetUp() override {
    BothPrograms::SetUp();
    directory_.write("key", "correct horse\n");  // the end of the line is part of it
    directory_.write("stripped", "correct horse");
  }

  [[nodiscard]] static Words secret(const std::string& key = "key") { return {"--object", "secret,id=s,file=" + key}; }
  [[nodiscard]] static std::string image_options(const std::string& image) {
    return "driver=qcow2,encrypt.key-secret=s,file.filename=" + image;
  }
  static Words joined(Words first, const Words& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  }

  // "encrypt.format=luks,..." without a lasting key derivation.
  [[nodiscard]] static std::string quick(const std::string& options) {
    return options.find("=luks") == std::string::npos ? options : options + ",encrypt.iter-time=10";
  }
  void theirs(const std::string& options, const std::string& image = "image") const {
    must_make_luks(joined({"qemu-img", "create", "-q"},
                          joined(secret(), {"-f", "qcow2", "-o", "encrypt.key-secret=s," + quick(options), image,
                                            std::to_string(kSize)})));
  }
  void ours(const std::string& options, const std::string& image = "image") const {
    must({FLATIMG_PROGRAM, "create", "-q", "-f", "qcow2", "--key-file", "key", "-o", quick(options), image,
          std::to_string(kSize)});
  }
  void qemu_io(const Words& commands) const {
    Words words = joined({"qemu-io"}, joined(secret(), {"--image-opts", image_options("image")}));
    for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
    must(words);
  }
  [[nodiscard]] std::string as_qemu_reads_it() const {
    must(joined({"qemu-img", "convert"},
                joined(secret(), {"--image-opts", image_options("image"), "-O", "raw", "plain.raw"})));
    return contents_of(directory_ / "plain.raw");
  }
  [[nodiscard]] Finished as_qemu_judges_it() const {
    return in_directory(joined({"qemu-img", "check"}, joined(secret(), {"--image-opts", image_options("image")})));
  }

  [[nodiscard]] Result<std::unique_ptr<Disk>> open(const std::string& passphrase = "correct horse\n") const {
    catalog::OpenRequest request;
    request.path = directory_ / "image";
    request.passphrase = std::make_shared<const Secret>(Secret::copy(bytes_of(passphrase)));
    TRY(catalog::Opened opened, catalog::open_image(request));
    return std::make_unique<Disk>(std::move(opened.chain), DiskOptions());
  }
  [[nodiscard]] std::string as_we_read_it() const {
    auto disk = open();
    EXPECT_THAT(disk, Succeeds());
    if (!disk) return "";
    std::vector<std::byte> bytes((*disk)->size().value());
    EXPECT_THAT((*disk)->read(GuestOffset(0), bytes), Succeeds());
    return text_of(bytes);
  }

  // Aligned and odd writes, into fresh space and over data, zeroes and holes; the model does the same.
  void write_with_us(std::string& model) const {
    auto disk = open();
    ASSERT_THAT(disk, Succeeds());
    for (const auto& [at, length] : {std::pair{0u, 512u},
                                     {1000u, 1u},
                                     {65535u, 2u},
                                     {70000u, 200000u},
                                     {511u, 514u},
                                     {1u << 20, 1u << 20},
                                     {unsigned{kSize} - 100, 100u},
                                     {2u << 20, 70001u}}) {
      const auto data = noise(length, at + length);
      ASSERT_THAT((*disk)->write(GuestOffset(at), data), Succeeds());
      std::memcpy(model.data() + at, data.data(), data.size());
    }
    for (const auto& [at, length, space] : {std::tuple{100000u, 3000u, Space::Keep},
                                            {131072u, 65536u, Space::Release},
                                            {1300001u, 200001u, Space::Release},
                                            {1600000u, 200000u, Space::Keep}}) {
      ASSERT_THAT((*disk)->zero({GuestOffset(at), ByteCount(length)}, space), Succeeds());
      std::fill_n(model.begin() + at, length, '\0');
    }
    ASSERT_THAT((*disk)->allocate({GuestOffset(2500000), ByteCount(300000)}), Succeeds());
    ASSERT_THAT((*disk)->close(), Succeeds());
  }

  // QEMU takes seconds to make a LUKS header, because it measures its own speed; opening ours proves as much.
  void expect_both_ways(const std::string& options) {
    SCOPED_TRACE(options);
    ours(options);
    if (HasFatalFailure()) return;
    qemu_io({"write -P 1 3k 300k", "write -P 2 1M 700k", "write -P 3 2999k 1k", "write -z 100k 64k"});
    std::string model = as_qemu_reads_it();
    EXPECT_TRUE(as_we_read_it() == model);
    write_with_us(model);
    EXPECT_TRUE(as_qemu_reads_it() == model);
    EXPECT_TRUE(as_we_read_it() == model);
    const Finished judged = as_qemu_judges_it();
    EXPECT_EQ(judged.exit_code, 0) << judged.output;
  }
};

TEST_F(QemuEncryption, IsReadAndWrittenBothWaysWithEveryCipherAndMode) {
  for (const std::string cipher : {"aes-128", "aes-256", "serpent-128", "serpent-256", "twofish-128", "twofish-256"}) {
    for (const std::string mode : {"xts", "cbc", "ctr", "ecb"}) {
      expect_both_ways("encrypt.format=luks,encrypt.cipher-alg=" + cipher + ",encrypt.cipher-mode=" + mode);
    }
  }
  for (const std::string rest : {"aes-192,encrypt.cipher-mode=xts", "serpent-192,encrypt.cipher-mode=xts",
                                 "cast5-128,encrypt.cipher-mode=cbc", "cast5-128,encrypt.cipher-mode=ctr"}) {
    expect_both_ways("encrypt.format=luks,encrypt.cipher-alg=" + rest);
  }
}

TEST_F(QemuEncryption, IsReadAndWrittenBothWaysWithEveryGeneratorAndHash) {
  for (const std::string generator : {"plain", "plain64", "essiv"}) {
    for (const std::string mode : {"xts", "cbc"}) {
      expect_both_ways("encrypt.format=luks,encrypt.ivgen-alg=" + generator + ",encrypt.cipher-mode=" + mode);
    }
  }
  expect_both_ways("encrypt.format=luks,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=md5");
  for (const std::string hash : {"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160"}) {
    expect_both_ways("encrypt.format=luks,encrypt.hash-alg=" + hash);
  }
}

TEST_F(QemuEncryption, IsReadAndWrittenBothWaysInEveryLayout) {
  for (const std::string layout :
       {"cluster_size=512", "cluster_size=4k", "cluster_size=2M", "compat=0.10", "extended_l2=on",
        "extended_l2=on,cluster_size=16k", "refcount_bits=1", "data_file=d", "data_file=d2,data_file_raw=on",
        "preallocation=metadata", "lazy_refcounts=on"}) {
    expect_both_ways("encrypt.format=luks," + layout);
    if (layout.find("data_file") == std::string::npos) expect_both_ways("encrypt.format=aes," + layout);
  }
}

TEST_F(QemuEncryption, ImagesThatWeMakeAreThoseThatQemuMakes) {
  const auto told = [&](const std::string& image) {
    auto info = json_in(qemu_img({"info", "--output=json", image}).output);
    for (const char* field : {"filename", "actual-size"}) info.erase(field);
    auto& encrypt = info["format-specific"]["data"]["encrypt"];
    for (const char* field : {"uuid", "master-key-iters"}) encrypt.erase(field);
    for (auto& slot : encrypt["slots"]) slot.erase("iters");
    return info;
  };
  for (const std::string options :
       {"encrypt.format=luks", "encrypt.format=aes", "encryption=on,cluster_size=512",
        "encrypt.format=luks,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.hash-alg=sha512,compat=0.10",
        "encrypt.format=luks,preallocation=metadata,encrypt.cipher-alg=serpent-192"}) {
    SCOPED_TRACE(options);
    theirs(options, "theirs");
    ours(options);
    if (HasFatalFailure()) return;
    EXPECT_EQ(told("image"), told("theirs"));
    expect_same_info("image");
    const Finished judged = as_qemu_judges_it();
    EXPECT_EQ(judged.exit_code, 0) << judged.output;
    EXPECT_EQ(flatimg({"check", "image"}).exit_code, 0);
    std::string model(kSize, '\0');
    EXPECT_TRUE(as_qemu_reads_it() == model) << "a fresh disk is not zero";
    qemu_io({"write -P 1 3k 300k", "read -P 1 3k 300k"});
    std::fill_n(model.begin() + 3072, 300 << 10, '\1');
    EXPECT_TRUE(as_we_read_it() == model);
    write_with_us(model);
    EXPECT_TRUE(as_qemu_reads_it() == model);
  }
}

TEST_F(QemuEncryption, ReadsWhatQemuMadeAndQemuReadsWhatWeWrote) {
  for (const std::string options :
       {"encrypt.format=luks", "encrypt.format=aes",
        "encrypt.format=luks,encrypt.cipher-alg=serpent-256,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv"}) {
    SCOPED_TRACE(options);
    theirs(options);
    if (HasFatalFailure()) return;
    qemu_io({"write -P 1 3k 300k", "write -P 2 1M 700k", "write -z 100k 64k"});
    std::string model = as_qemu_reads_it();
    EXPECT_TRUE(as_we_read_it() == model);
    write_with_us(model);
    EXPECT_TRUE(as_qemu_reads_it() == model);
    EXPECT_EQ(as_qemu_judges_it().exit_code, 0);
  }
}

TEST_F(QemuEncryption, OpensWithTheKeyOfEverySlot) {
  theirs("encrypt.format=luks");
  for (int n = 1; n < 3; ++n) {
    const std::string key = "key" + std::to_string(n);
    directory_.write(key, "passphrase " + key);
    must_make_luks({"qemu-img", "amend", "--object", "secret,id=s,file=key", "--object", "secret,id=n,file=" + key,
                    "--image-opts", image_options("image"), "-o",
                    "encrypt.state=active,encrypt.new-secret=n,encrypt.iter-time=10"});
  }
  for (int n = 1; n < 3; ++n) EXPECT_THAT(open("passphrase key" + std::to_string(n)), Succeeds()) << n;
  EXPECT_THAT(open(), Succeeds());
  EXPECT_THAT(open("passphrase key8"), FailsWith(ErrorKind::Denied, "the passphrase is wrong"));
}

TEST_F(QemuEncryption, AKeyFileIsThePassphraseWithItsEndOfLine) {
  ours("encrypt.format=luks");
  EXPECT_THAT(open("correct horse"), FailsWith(ErrorKind::Denied, "wrong"));
  const Finished stripped = flatimg({"resize", "--key-file", "stripped", "image", "+1M"});
  EXPECT_EQ(stripped.exit_code, 1);
  EXPECT_NE(stripped.output.find("image: the passphrase is wrong"), std::string::npos) << stripped.output;
  EXPECT_EQ(flatimg({"resize", "-q", "--key-file", "key", "image", "+1M"}).exit_code, 0);
  EXPECT_EQ(as_qemu_reads_it(), std::string(kSize + (1u << 20), '\0'));
}

TEST_F(QemuEncryption, WithoutAKeyChangesNothingAndSaysWhatToDo) {
  ours("encrypt.format=luks");
  const std::string before = contents_of(directory_ / "image");
  const Finished refused = in_directory({"sh", "-c", std::string(FLATIMG_PROGRAM) + " resize image +1M </dev/null"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.output.find("key-file="), std::string::npos) << refused.output;
  EXPECT_EQ(std::count(refused.output.begin(), refused.output.end(), '\n'), 1);
  EXPECT_EQ(contents_of(directory_ / "image"), before);
}

TEST_F(QemuEncryption, MapsLikeQemuAndNeedsNoKeyForThat) {
  ours("encrypt.format=luks");
  qemu_io({"write -P 1 0 200k", "write -z 1M 128k", "discard 64k 64k"});
  const Finished map =
      qemu_img({"map", "--object", "secret,id=s,file=key", "--image-opts", image_options("image"), "--output=json"});
  EXPECT_EQ(flatimg({"map", "--output=json", "image"}).output, map.output);
}

TEST_F(QemuEncryption, RefusesOptionsThatMakeNoSense) {
  for (const auto& [options, why] :
       {std::pair{"encrypt.format=luks,encrypt.key-secret=s", "--key-file"},
        {"encrypt.format=rot13", "rot13"},
        {"encrypt.cipher-alg=aes-256", "'encrypt.format' is missing"},
        {"encrypt.format=aes,encrypt.hash-alg=md5", "aes"},
        {"encrypt.format=luks,encrypt.cipher-alg=des", "des"},
        {"encrypt.format=luks,encrypt.iter-time=x", "iter-time"},
        {"encrypt.format=luks,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha1", "20 bytes"},
        {"encrypt.format=luks,encryption=on", "alias"},
        {"encrypt.format=luks,encrypt.bogus=1", "bogus"},
        {"encrypt.format=luks,encrypt.cipher-alg=aes-192,encrypt.cipher-mode=cbc", "24 bytes"},
        {"encrypt.format=luks,compat=0.10,preallocation=full", "compat=1.1"}}) {
    const Finished made = flatimg({"create", "-f", "qcow2", "--key-file", "key", "-o", options, "no", "1M"});
    EXPECT_EQ(made.exit_code, 1) << options;
    EXPECT_NE(made.output.find(why), std::string::npos) << made.output;
    EXPECT_FALSE(std::filesystem::exists(directory_ / "no"));
  }
}

TEST_F(QemuEncryption, AnOverlayOverAnEncryptedImageShowsWhatIsBehind) {
  ours("encrypt.format=luks");
  qemu_io({"write -P 1 0 200k"});
  must_make_luks({"cp", "image", "base"});
  must({FLATIMG_PROGRAM, "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "--key-file", "key", "-o",
        quick("encrypt.format=luks,cluster_size=4k"), "image"});
  std::string model(kSize, '\0');
  std::fill_n(model.begin(), 200 << 10, '\1');
  EXPECT_TRUE(as_we_read_it() == model);
  write_with_us(model);
  EXPECT_TRUE(as_we_read_it() == model);
}

}  // namespace
}  // namespace flatimg::test
