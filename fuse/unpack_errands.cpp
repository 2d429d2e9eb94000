#include "fuse/unpack_errands.h"

#include <fcntl.h>

#include "host/posix_file.h"

namespace flatimg::flat {

namespace {

Message with_descriptor(const HostFile& file) {
  Message answer;
  answer.descriptor = Descriptor(fcntl(file.descriptor(), F_DUPFD_CLOEXEC, 0));
  return answer;
}

}  // namespace

// --- the worker -----------------------------------------------------------------------------------------------------

Result<std::unique_ptr<HostFile>> SupervisedUnpackedFiles::find(HostFile& packed) {
  if (!is_source(packed)) return std::unique_ptr<HostFile>();
  TRY(Descriptor found, errands_.find_unpacked());
  if (!found.valid()) return std::unique_ptr<HostFile>();
  return adopt_host_file(std::move(found), where_ + "/(kept)", Access::ReadOnly);
}

Result<std::unique_ptr<HostFile>> SupervisedUnpackedFiles::begin(HostFile& /*packed*/) {
  TRY(Descriptor begun, errands_.begin_unpacked());
  return adopt_host_file(std::move(begun), where_ + "/(new)", Access::ReadWrite);
}

Result<void> SupervisedUnpackedFiles::keep(HostFile& packed, HostFile& /*unpacked*/) {
  return is_source(packed) ? errands_.keep_unpacked() : Result<void>();
}

// --- the supervisor -------------------------------------------------------------------------------------------------

UnpackService::UnpackService(std::string source, const MountOptions& options)
    : source_(std::move(source)),
      directory_(options.unpack_directory, options.unpack_size, catalog::UnpackDirectory::AfterUse::Keep) {}

Message UnpackService::find() {
  auto packed = open_host_file(source_, Access::ReadOnly);
  if (!packed) return answer_of(Failure(packed.error()));
  const auto found = directory_.find(**packed);
  if (!found) return answer_of(Failure(found.error()));
  return *found ? with_descriptor(**found) : Message();
}

Message UnpackService::begin() {
  auto packed = open_host_file(source_, Access::ReadOnly);
  if (!packed) return answer_of(Failure(packed.error()));
  auto begun = directory_.begin(**packed);
  if (!begun) return answer_of(Failure(begun.error()));
  packed_ = *std::move(packed);
  begun_ = *std::move(begun);
  return with_descriptor(*begun_);
}

Message UnpackService::keep() {
  if (!begun_) return answer_of(fail(ErrorKind::BadUsage, "nothing has been unpacked"));
  return answer_of(directory_.keep(*packed_, *begun_));
}

}  // namespace flatimg::flat
