#include "host/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "host/file_lock.h"

namespace flatimg {

Result<NewFile> NewFile::at(const std::string& path, Existing existing, unsigned mode) {
  Before before = Before::Absent;
  auto opened = create_host_file(path, mode);
  if (!opened && opened.error().os_error == EEXIST) {
    before = Before::There;
    opened = open_host_file(path, Access::ReadWrite);
  }
  if (!opened) return Failure(std::move(opened.error()));
  NewFile made(*std::move(opened), path, before);
  CHECK(lock_image(*made.file_, LockAs::Writer));
  if (existing == Existing::MustBeEmpty) {
    TRY(const ByteCount size, made.file_->size());
    if (!size.is_zero()) return fail(ErrorKind::Denied, "{}: is not empty: choose another name", shown(path));
  }
  made.locked_ = true;
  if (before == Before::There && !made.file_->is_block_device()) CHECK(made.file_->resize(ByteCount(0)));
  return made;
}

NewFile::~NewFile() {
  if (!file_ || kept_) return;
  // What went wrong first is what people have to know; what goes wrong here is not told.
  if (before_ == Before::There) {
    if (locked_ && !file_->is_block_device()) (void)file_->resize(ByteCount(0));
    return;
  }
  struct stat now {};
  const bool still_ours = ::stat(path_.c_str(), &now) == 0 && FileIdentity{now.st_dev, now.st_ino} == file_->identity();
  if (still_ours) (void)::unlinkat(AT_FDCWD, path_.c_str(), 0);  // the one call for it that a filter knows
}

}  // namespace flatimg
