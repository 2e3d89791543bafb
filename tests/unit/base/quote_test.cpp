#include "common/base/quote.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

TEST(Quote, ShowsPrintableTextAsItIs) { EXPECT_EQ(quote("north-2"), "\"north-2\""); }

TEST(Quote, EscapesWhatCouldMoveACursorOrEndTheQuote) {
  EXPECT_EQ(quote("a\x1b[2J\n"), R"("a\x1b[2J\x0a")");
  EXPECT_EQ(quote("a\"\\"), R"("a\"\\")");
  EXPECT_EQ(quote("\xe2\x80\xae"), R"("\xe2\x80\xae")");
  EXPECT_EQ(quote(std::string_view("\0", 1)), R"("\x00")");
}

TEST(Quote, CutsALongText) {
  EXPECT_EQ(quote(std::string(80, 'x')), '"' + std::string(80, 'x') + '"');
  EXPECT_EQ(quote(std::string(81, 'x')), '"' + std::string(80, 'x') + "...\"");
}

}  // namespace
}  // namespace entente
