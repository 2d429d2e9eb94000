// A HostFile that writes down what changes the file, in the order of the calls: what crash tests replay.
//
// A barrier covers exactly the operations on its own file whose `completed` is smaller than the barrier's `issued`.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "support/forwarding_file.h"

namespace flatimg::test {

struct Operation {
  enum class Kind { Write, Zero, Reserve, Resize, Barrier };
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  Kind kind = Kind::Barrier;
  unsigned file = 0;                  // the number of the recorded file
  HostRange where = {};               // Resize: from 0 to the new size; Barrier: empty
  std::vector<std::byte> bytes = {};  // Write: all parts joined
  Space space = Space::Keep;          // Zero
  std::uint64_t issued = 0;           // numbers of one sequence over all files of the recording
  std::uint64_t completed = kNever;
  bool failed = false;  // completed, with an error
};

/// What was done to any number of files. Any thread.
class Recording {
 public:
  /// The number that the next file gets.
  [[nodiscard]] unsigned add_file();
  [[nodiscard]] std::size_t begin(Operation operation);
  void complete(std::size_t index, bool failed);

  /// Everything so far, in the order in which it was issued.
  [[nodiscard]] std::vector<Operation> operations() const;
  void clear();

 private:
  mutable std::mutex mutex_;
  std::vector<Operation> operations_;
  std::uint64_t sequence_ = 0;
  unsigned files_ = 0;
};

class RecordingFile final : public ForwardingFile {
 public:
  RecordingFile(std::unique_ptr<HostFile> inner, std::shared_ptr<Recording> recording);

  using HostFile::write;
  Result<void> write(HostOffset at, std::span<const std::span<const std::byte>> parts) override;
  Result<void> zero(HostRange range, Space space) override;
  Result<void> reserve(HostRange range) override;
  Result<void> barrier() override;
  Result<void> resize(ByteCount size) override;

  [[nodiscard]] unsigned number() const { return number_; }

 private:
  template <class Call>
  Result<void> recorded(Operation operation, Call call);

  std::shared_ptr<Recording> recording_;
  unsigned number_;
};

}  // namespace flatimg::test
