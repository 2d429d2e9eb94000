// What is wrong with an image, as it is met while its tables are walked: how much of each class, and sentences for
// people.
//
// The classes and what counts as one finding follow qemu-img check, so that both tools give the same numbers.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

namespace flatimg::qcow2 {

class Findings {
 public:
  /// `times` corruptions of one kind at one place. Only the first ones of all get their sentence.
  template <class... Args>
  void corruption(std::uint64_t times, fmt::format_string<Args...> format, Args&&... args) {
    corruptions_ += times;
    tell("ERROR", format, std::forward<Args>(args)...);
  }
  template <class... Args>
  void leak(fmt::format_string<Args...> format, Args&&... args) {
    ++leaks_;
    tell("leaked", format, std::forward<Args>(args)...);
  }
  /// Something could not be judged at all.
  template <class... Args>
  void unjudged(fmt::format_string<Args...> format, Args&&... args) {
    ++unjudged_;
    tell("ERROR", format, std::forward<Args>(args)...);
  }

  [[nodiscard]] std::uint64_t corruptions() const { return corruptions_; }
  [[nodiscard]] std::uint64_t leaks() const { return leaks_; }
  [[nodiscard]] std::uint64_t unjudged_places() const { return unjudged_; }
  [[nodiscard]] const std::vector<std::string>& sentences() const { return sentences_; }
  /// How many sentences were left out.
  [[nodiscard]] std::uint64_t untold() const { return untold_; }

 private:
  static constexpr std::size_t kMostSentences = 200;

  template <class... Args>
  void tell(std::string_view prefix, fmt::format_string<Args...> format, Args&&... args) {
    if (sentences_.size() == kMostSentences) {
      ++untold_;
      return;
    }
    sentences_.push_back(fmt::format("{}: {}", prefix, fmt::format(format, std::forward<Args>(args)...)));
  }

  std::uint64_t corruptions_ = 0;
  std::uint64_t leaks_ = 0;
  std::uint64_t unjudged_ = 0;
  std::uint64_t untold_ = 0;
  std::vector<std::string> sentences_;
};

}  // namespace flatimg::qcow2
