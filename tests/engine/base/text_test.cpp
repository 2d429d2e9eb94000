#include "base/text.h"

#include <gtest/gtest.h>

namespace flatimg {
namespace {

TEST(Shown, LeavesOrdinaryNamesAlone) {
  EXPECT_EQ(shown("disk 1.qcow2"), "disk 1.qcow2");
  EXPECT_EQ(shown("Größe-€-😀"), "Größe-€-😀");
}

TEST(Shown, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(shown("a\x1b[31m\n\t\x7f"), "a\\x1b[31m\\x0a\\x09\\x7f");
  EXPECT_EQ(shown(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(shown("\xc2\x9b"), "\\xc2\\x9b");  // CSI as one character
}

TEST(Shown, EscapesMarksThatReverseText) { EXPECT_EQ(shown("a\xe2\x80\xae"), "a\\xe2\\x80\\xae"); }

TEST(Shown, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(shown("\xff"), "\\xff");
  EXPECT_EQ(shown("\xc3"), "\\xc3");           // cut off
  EXPECT_EQ(shown("\xc0\xaf"), "\\xc0\\xaf");  // overlong
  EXPECT_EQ(shown("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
  EXPECT_EQ(shown("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
}

TEST(Shown, IsUnambiguous) { EXPECT_EQ(shown("\\x1b"), "\\\\x1b"); }

TEST(ShownShortened, CutsLongNamesOnly) {
  EXPECT_EQ(shown_shortened("abc", 3), "abc");
  EXPECT_EQ(shown_shortened("abcd", 3), "abc...");
}

}  // namespace
}  // namespace flatimg
