#include "common/base/ids.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

TEST(Name, AcceptsLowerCaseLettersDigitsDotsAndDashes) {
  for (const auto* text : {"a", "7", "north", "st.mary-2", "0.1"}) {
    EXPECT_TRUE(is_name(text)) << text;
  }
  EXPECT_TRUE(is_name(std::string(63, 'x')));
}

TEST(Name, RefusesWhatIsUnsafeInAUriAFileNameOrATerminal) {
  for (const auto* text : {"", "North", "-a", "a-", ".a", "a.", "a_b", "a/b", "a b", "a\n",
                           "\x1b[2J", "ä", "%61", ".."}) {
    EXPECT_FALSE(is_name(text)) << text;
  }
  EXPECT_FALSE(is_name(std::string(64, 'x')));
  EXPECT_FALSE(is_name(std::string_view("a\0b", 3)));
}

TEST(Name, ParseKeepsTheText) {
  ASSERT_TRUE(SiteId::parse("north"));
  EXPECT_EQ(SiteId::parse("north")->str(), "north");
  EXPECT_FALSE(SiteId::parse("North"));
}

TEST(NameDeathTest, AMalformedLiteralIsABug) {
  EXPECT_DEATH((void)SiteId::literal("Not Legal"), "bug: ");
}

}  // namespace
}  // namespace entente
