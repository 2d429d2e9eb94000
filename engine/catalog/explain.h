// What stands in the way of an image, all at once, and which files it would open: looked at without opening the image
// or any other file.
#pragma once

#include <string>
#include <vector>

#include "catalog/inspect.h"

namespace flatimg::catalog {

/// A file that an image names.
struct NamedFile {
  std::string named_by;
  std::string role;                   // "backing file", "data file", "part", "piece"
  std::string name;                   // as the image spells it
  std::string path;                   // where that leads
  bool found = false;                 // it is there, and may be opened
  std::optional<std::string> format;  // as recorded
};

struct Problem {
  enum class Weight {
    Refusal,   // it cannot be mounted
    ReadOnly,  // it can, for reading
    Note,      // worth knowing
  };
  Weight weight = Weight::Refusal;
  std::string image;
  std::string feature;  // what it is about: "backing file", "encryption", "header" ...
  std::string text;     // one sentence
  std::string help;     // the command or option that helps; may be empty
};

struct Explanation {
  std::string format;  // of the image; empty where not even that can be told
  std::vector<NamedFile> files;
  std::vector<Problem> problems;

  [[nodiscard]] bool can_be_mounted() const;
};

/// How far to look.
enum class Reach {
  Image,  // no other file is opened
  Chain,  // what it names is opened for reading (through the gate), and what those name, as far as the rules allow
};

/// Never fails: what cannot be looked at is a problem of its own.
[[nodiscard]] Explanation explain(const InspectRequest& request, Reach reach);

}  // namespace flatimg::catalog
