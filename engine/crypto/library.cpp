#include "crypto/library.h"

namespace flatimg::crypto {

namespace {

// The oldest that has the KDF and the modes used here with fast code for them.
constexpr const char* kOldestVersion = "1.8.0";
constexpr unsigned kLockedMemory = 256u << 10;

bool initialise() {
  if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) != 0) return true;  // somebody else in this process did
  if (gcry_check_version(kOldestVersion) == nullptr) return false;
  gcry_control(GCRYCTL_DISABLE_SECMEM_WARN);
  gcry_control(GCRYCTL_DISABLE_PRIV_DROP);
  gcry_control(GCRYCTL_AUTO_EXPAND_SECMEM, kLockedMemory);
  gcry_control(GCRYCTL_INIT_SECMEM, kLockedMemory, 0);
  gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
  return true;
}

}  // namespace

Result<void> use_library() {
  static const bool good = initialise();
  if (!good) return fail(ErrorKind::Unsupported, "libgcrypt is older than {}", kOldestVersion);
  return {};
}

Failure library_failure(gcry_error_t error, std::string_view what) {
  const bool memory = gcry_err_code(error) == GPG_ERR_ENOMEM;
  return fail(memory ? ErrorKind::NoMemory : ErrorKind::Unsupported, "{}: {}", what, gcry_strerror(error));
}

int library_hash(Hash hash) {
  switch (hash) {
    case Hash::Md5:
      return GCRY_MD_MD5;
    case Hash::Sha1:
      return GCRY_MD_SHA1;
    case Hash::Sha224:
      return GCRY_MD_SHA224;
    case Hash::Sha256:
      return GCRY_MD_SHA256;
    case Hash::Sha384:
      return GCRY_MD_SHA384;
    case Hash::Sha512:
      return GCRY_MD_SHA512;
    case Hash::Ripemd160:
      return GCRY_MD_RMD160;
  }
  return GCRY_MD_NONE;
}

int library_cipher(Family family, unsigned key_bits) {
  const auto by_size = [key_bits](int with_128, int with_192, int with_256) {
    return key_bits == 128 ? with_128 : key_bits == 192 ? with_192 : key_bits == 256 ? with_256 : GCRY_CIPHER_NONE;
  };
  switch (family) {
    case Family::Aes:
      return by_size(GCRY_CIPHER_AES128, GCRY_CIPHER_AES192, GCRY_CIPHER_AES256);
    case Family::Serpent:
      return by_size(GCRY_CIPHER_SERPENT128, GCRY_CIPHER_SERPENT192, GCRY_CIPHER_SERPENT256);
    case Family::Twofish:  // the library has none of 192 bits
      return by_size(GCRY_CIPHER_TWOFISH128, GCRY_CIPHER_NONE, GCRY_CIPHER_TWOFISH);
    case Family::Cast5:
      return by_size(GCRY_CIPHER_CAST5, GCRY_CIPHER_NONE, GCRY_CIPHER_NONE);
  }
  return GCRY_CIPHER_NONE;
}

int library_mode(Mode mode) {
  switch (mode) {
    case Mode::Xts:
      return GCRY_CIPHER_MODE_XTS;
    case Mode::Cbc:
      return GCRY_CIPHER_MODE_CBC;
    case Mode::Ctr:
      return GCRY_CIPHER_MODE_CTR;
    case Mode::Ecb:
      return GCRY_CIPHER_MODE_ECB;
  }
  return GCRY_CIPHER_MODE_NONE;
}

}  // namespace flatimg::crypto
