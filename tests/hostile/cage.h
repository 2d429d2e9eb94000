// A process of its own for whatever a hostile image makes the engine do: bounded in memory, watched for time, and its
// death is a result like any other.
#pragma once

#include <functional>
#include <ostream>
#include <string>

#include "base/result.h"
#include "base/units.h"

namespace flatimg::test {

inline constexpr ByteCount kCageMemory{64u << 20};
inline constexpr double kCageSeconds = 1;

struct Verdict {
  enum class Kind { Success, Failure, Death } kind = Kind::Death;
  ErrorKind error = ErrorKind::Io;  // of a Failure
  std::string text;                 // of a Failure; how it died otherwise
  double seconds = 0;
  ByteCount memory;  // by which the process grew at most
};
void PrintTo(const Verdict& verdict, std::ostream* out);

/// Runs `work` in a child process. Allocating far more than kCageMemory kills it, and so does a time of 20 seconds.
Verdict in_cage(const std::function<Result<void>()>& work);

/// What is true of every outcome: alive, one line of text, within a second and the memory. Empty when it is.
std::string complaint_about(const Verdict& verdict);

}  // namespace flatimg::test
