// A HostFile that fails when it is told to, and counts the calls so that a test can fail each of them in turn.
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <set>

#include "support/forwarding_file.h"

namespace flatimg::test {

enum class Call { Read, Write, Zero, Reserve, Barrier, Size, Resize, NextData, Allocated };

class FaultyFile final : public ForwardingFile {
 public:
  using ForwardingFile::ForwardingFile;

  enum class Times { Once, ForEver };
  /// What a call that fails does before: nothing, or the first half of what it should (in whole sectors).
  enum class Effect { None, Half };
  struct Fault {
    std::set<Call> calls = {};  // which calls count; empty: all
    std::uint64_t nth = 1;      // of those from now on, 1 is the next
    Times times = Times::Once;
    int os_error = 5;  // EIO
    Effect effect = Effect::None;
  };
  /// Replaces the fault that was planned before.
  void plan(Fault fault);
  /// Nothing fails any more.
  void heal();

  [[nodiscard]] std::uint64_t calls(Call call) const;
  /// How many calls of a kind have failed.
  [[nodiscard]] std::uint64_t failed(Call call) const;
  [[nodiscard]] std::uint64_t all_calls() const;
  [[nodiscard]] std::uint64_t all_failed() const;
  /// Of write, zero, reserve, barrier and resize together.
  [[nodiscard]] std::uint64_t changing_calls() const;

  using HostFile::write;
  Result<void> read(HostOffset at, std::span<std::byte> out) override;
  Result<void> write(HostOffset at, std::span<const std::span<const std::byte>> parts) override;
  Result<void> zero(HostRange range, Space space) override;
  Result<void> reserve(HostRange range) override;
  Result<void> barrier() override;
  Result<ByteCount> size() override;
  Result<void> resize(ByteCount size) override;
  Result<HostRange> next_data(HostOffset from) override;
  Result<ByteCount> allocated() override;

 private:
  struct Outcome {
    Result<void> result;
    Effect effect = Effect::None;
  };
  [[nodiscard]] Outcome counted(Call call);
  [[nodiscard]] Outcome decided(Call call);

  mutable std::mutex mutex_;  // guards what follows
  std::array<std::uint64_t, 9> counts_{};
  std::array<std::uint64_t, 9> failures_{};
  std::optional<Fault> fault_;
};

/// The calls that change a file or promise that it has been changed.
[[nodiscard]] const std::set<Call>& changing();

}  // namespace flatimg::test
