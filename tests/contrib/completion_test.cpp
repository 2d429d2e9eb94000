// Completion for bash, zsh and fish: nothing is proposed that the program does not take, nothing that it takes is left
// out, and keys typed into the shells give what was meant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "contrib/told_options.h"

namespace flatimg::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

/// What a shell with our completion loaded answers to questions about it.
class Completion {
 public:
  virtual ~Completion() = default;
  [[nodiscard]] virtual Names commands() const = 0;
  [[nodiscard]] virtual Names options(const std::string& command) const = 0;
  [[nodiscard]] virtual Names mount_words() const = 0;  // without their values
};

std::string answer(const std::string& shell_name, const std::string& script) {
  return run({"bash", "-c", "cd " FLATIMG_SOURCES "/contrib/completion && exec " + shell_name + " \"$0\"", script})
      .output;
}

Names names_in(const std::string& text) { return all(text, R"(([^\s=]+)=?\s)"); }

class Bash : public Completion {
 public:
  Names commands() const override { return names_in(ask("echo $_flatimg_commands")); }
  Names options(const std::string& command) const override { return names_in(ask("_flatimg_options " + command)); }
  Names mount_words() const override { return names_in(ask("echo $_flatimg_mount_words")); }

 private:
  static std::string ask(const std::string& line) { return answer("bash -c", ". ./flatimg.bash; " + line); }
};

class Fish : public Completion {
 public:
  Names commands() const override { return ask(""); }
  Names options(const std::string& command) const override { return ask(command + " -"); }
  Names mount_words() const override { return ask("mount -o "); }

 private:
  static Names ask(const std::string& typed) {
    return all(answer("fish --no-config -c", "source flatimg.fish; complete -C 'flatimg " + typed + "'"),
               "([^\\s=]+)[^\t\n]*\t");
  }
};

// The functions that zsh has for completion are replaced by ones that print what they are told to propose.
class Zsh : public Completion {
 public:
  Names commands() const override { return all(ask("CURRENT=2", "flatimg x"), "COMMAND ([a-z]+):"); }
  Names options(const std::string& command) const override {
    return all(ask("CURRENT=3", "flatimg " + command + " x"), "OPTION \\*?(-[A-Za-z]|--[a-z-]+)=?\\[");
  }
  Names mount_words() const override {
    return all(ask("CURRENT=3; _arguments() { _flatimg_mount_words }", "flatimg mount x"), "WORD ([a-z_-]+)");
  }

 private:
  static std::string ask(const std::string& setup, const std::string& typed) {
    return answer("zsh -fc",
                  "_describe() { print -l -- 'COMMAND '${^subcommands} }; _arguments() { print -l -- 'OPTION '${^@} };"
                  "_values() { shift 3; print -l -- 'WORD '${^@} };"
                  "() { local -a words; words=(" +
                      typed + "); local " + setup + "; . ./_flatimg }");
  }
};

void expect_agrees_with_the_program(const Completion& completion) {
  EXPECT_EQ(completion.commands(), commands());
  for (const std::string& command : commands()) {
    EXPECT_EQ(completion.options(command), options_of_command(command)) << command;
  }
  Names words = known_options();
  EXPECT_THAT(words, IsSupersetOf({"ro", "format"}));
  words.merge(words_in_array("kKernelWordsPassed"));
  EXPECT_EQ(completion.mount_words(), words);
}

TEST(BashCompletion, ProposesWhatTheProgramTakes) { expect_agrees_with_the_program(Bash()); }

TEST(FishCompletion, ProposesWhatTheProgramTakes) {
  if (!has_program("fish")) GTEST_SKIP() << "fish is not installed";
  expect_agrees_with_the_program(Fish());
}

TEST(ZshCompletion, ProposesWhatTheProgramTakes) {
  if (!has_program("zsh")) GTEST_SKIP() << "zsh is not installed";
  expect_agrees_with_the_program(Zsh());
}

// --- values ---------------------------------------------------------------------------------------------------------

// In an empty directory, where no file is a value.
TEST(BashCompletion, ProposesValuesThatMountOptionsTake) {
  const TempDir dir;
  const auto tried = shell("cd " + dir.path().string() +
                           "; . " FLATIMG_SOURCES
                           "/contrib/completion/flatimg.bash; cur=''; tried=0;"
                           "for word in $_flatimg_mount_words; do [[ $word == *= ]] || continue;"
                           "for value in $(_flatimg_values ${word%=} ''); do : $((++tried));"
                           "words=$($FLATIMG mount -o $word$value /none/a /none/b 2>&1) && false; [[ $words != "
                           "*option* ]] || echo $words; done; done; "
                           "echo tried $tried");
  EXPECT_EQ(tried.output, "tried 22\n");
}

TEST(BashCompletion, ProposesOptionsThatFormatsHave) {
  const TempDir dir;
  const auto tried =
      shell("cd " + dir.path().string() +
            "; . " FLATIMG_SOURCES
            "/contrib/completion/flatimg.bash; truncate -s 1M source;"
            "for format in raw qcow2 qcow sparse zstd; do for word in $(_flatimg_create_words $format); do "
            "words=$($FLATIMG convert -O $format -o ${word}bogus source target < /dev/null 2>&1) || true;"
            "[[ $words != *'Invalid parameter'* ]] || echo $words; done; done;"
            "$FLATIMG convert -O raw -o bogus=1 source target 2>&1 | grep -o Invalid.parameter");
  EXPECT_EQ(tried.output, "Invalid parameter\n");
}

// --- keys -----------------------------------------------------------------------------------------------------------

// Types lines into a shell on a terminal, where `flatimg` prints what it was called with.
class TypedKeys : public ::testing::Test {
 protected:
  static constexpr std::string_view kKeys =
      "flatimg che\t--rep\tal\tdis\t\n"
      "flatimg mount -o ro,format=qcow2,disc\ti\t dis\t su\t\n"
      "flatimg create -f qcow2 -o compat=1.1,lazy\ton x\n"
      "flatimg map --output=sv\tdis\t\n"
      "flatimg mount -o ro,key-file=dis\t x\n"
      "exit\n";

  std::string typed_into(const std::string& shell_command) {
    dir_.write("keys", kKeys);
    dir_.write("disk.qcow2", "");
    const auto outcome = shell("cd " + dir_.path().string() + "; mkdir sub; TERM=dumb timeout 60 script -qec '" +
                               shell_command + "' /dev/null < keys | tr -d '\\r' | grep -a GOT");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    return outcome.output;
  }

  static void expect_completed(const std::string& calls) {
    EXPECT_THAT(calls, ::testing::ContainsRegex("GOT: check --repair[ =]all disk.qcow2\n"));
    EXPECT_THAT(calls, ::testing::ContainsRegex("GOT: mount -o ro,format=qcow2,discard=ignore disk.qcow2 sub/?\n"));
    EXPECT_THAT(calls, HasSubstr("GOT: create -f qcow2 -o compat=1.1,lazy_refcounts=on x\n"));
    EXPECT_THAT(calls, HasSubstr("GOT: map --output=svg disk.qcow2\n"));
    EXPECT_THAT(calls, HasSubstr("GOT: mount -o ro,key-file=disk.qcow2 x\n"));
  }

  TempDir dir_;
};

TEST_F(TypedKeys, AreCompletedByBash) {
  const std::string library = "/usr/share/bash-completion/bash_completion";
  if (run({"test", "-e", library}).exit_code != 0) GTEST_SKIP() << "bash-completion is not installed";
  dir_.write("rc", "PS1='> '; . " + library + "; . " FLATIMG_SOURCES "/contrib/completion/flatimg.bash\n" +
                       "flatimg() { echo GOT: \"$@\"; }\n");
  expect_completed(typed_into("bash --noprofile --rcfile rc -i"));
}

TEST_F(TypedKeys, AreCompletedByZsh) {
  if (!has_program("zsh")) GTEST_SKIP() << "zsh is not installed";
  dir_.write(".zshrc", "PS1='> '; fpath=(" FLATIMG_SOURCES
                       "/contrib/completion $fpath); autoload -U compinit; compinit -u -D\n"
                       "flatimg() { print -r -- GOT: \"$@\" }\n");
  expect_completed(typed_into("env ZDOTDIR=$PWD zsh -i"));
}

}  // namespace
}  // namespace flatimg::test
