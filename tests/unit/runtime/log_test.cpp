#include "common/runtime/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace entente::log {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string line_of(Format format, std::string_view event, std::string_view sentence,
                    Fields fields = {}) {
  testing::internal::CaptureStderr();
  start(format, Level::info, "entente-test");
  info(event, sentence, fields);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesTimeLevelEventSentenceAndFields) {
  EXPECT_THAT(line_of(Format::text, "site_up", "north is connected",
                      {{"site", "north"}, {"reason", "back again"}}),
              testing::MatchesRegex("[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+Z info     site_up  "
                                    "north is connected  site=north reason=\"back again\"\n"));
}

TEST(Log, WritesOneJsonObjectPerLine) {
  const std::string line = line_of(Format::json, "site_up", "said \"hi\"", {{"site", "north"}});
  EXPECT_EQ(line.front(), '{');
  EXPECT_THAT(line, HasSubstr(R"("level":"info","program":"entente-test","event":"site_up",)"
                              R"("message":"said \"hi\"","fields":{"site":"north"}})"
                              "\n"));
  EXPECT_THAT(line_of(Format::json, "a", "b"), HasSubstr("\"fields\":{}}\n"));
}

TEST(Log, KeepsAnEventOnOneLineWhateverItsText) {
  const std::string hostile = "a\nb\r\x1b[31m\x7f\xc2\x9b";
  const std::string text = line_of(Format::text, "e", hostile, {{"k", hostile}});
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_THAT(text, HasSubstr("a\\nb\\x0d\\x1b[31m\\x7f\\xc2\\x9b  k="));
  const std::string json = line_of(Format::json, "e", hostile);
  EXPECT_EQ(json.find('\n'), json.size() - 1);
  EXPECT_THAT(json, HasSubstr("a\\nb\\u000d\\u001b[31m\\u007f"));
}

TEST(Log, QuotesAValueThatCouldBeReadAsAnotherField) {
  EXPECT_THAT(line_of(Format::text, "e", "s", {{"a", "1 b=2"}, {"c", "\""}, {"d", ""}}),
              HasSubstr(R"(a="1 b=2" c="\"" d="")"));
}

TEST(Log, KeepsUtf8AndEscapesWhatIsNot) {
  EXPECT_THAT(line_of(Format::text, "e", "Zürich ≥ 🙂"), HasSubstr("Zürich ≥ 🙂"));
  // A stray byte, an overlong slash, a surrogate, a sequence that was cut.
  EXPECT_THAT(line_of(Format::text, "e", "\xff \xc0\xaf \xed\xa0\x80 \xe2\x82"),
              HasSubstr("\\xff \\xc0\\xaf \\xed\\xa0\\x80 \\xe2\\x82"));
}

TEST(Log, DropsEventsBelowTheLowestLevel) {
  testing::internal::CaptureStderr();
  start(Format::text, Level::warning, "entente-test");
  info("quiet", "not shown");
  warning("loud", "shown {} %v");
  error("louder", "shown too");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, Not(HasSubstr("quiet")));
  EXPECT_THAT(text, HasSubstr("warning  loud  shown {} %v\n"));
  EXPECT_THAT(text, HasSubstr("error    louder"));
}

}  // namespace
}  // namespace entente::log
