#include "common/config/command_line.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

namespace entente {
namespace {

// What a small program of our shape answers to `words`; empty when it understands them.
std::string answer(std::vector<std::string> words) {
  CLI::App app{"", "tool"};
  app.require_subcommand(1);
  app.fallthrough();
  app.add_flag("--json");
  auto* job = app.add_subcommand("job");
  job->require_subcommand(1);
  auto* submit = job->add_subcommand("submit");
  submit->add_option("FILE")->required();
  submit->add_flag("--watch");
  app.add_subcommand("site");
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return usage_error(&app, error);
  }
  return {};
}

TEST(UsageError, NamesAnUnknownCommandAndTheNearestOne) {
  EXPECT_EQ(answer({"jobs"}),
            "error: there is no command \"jobs\"; did you mean \"job\"?\nhint: see tool --help\n");
  EXPECT_EQ(answer({"job", "sumbit", "job.toml"}),
            "error: there is no command \"sumbit\"; did you mean \"submit\"?\n"
            "hint: see tool job --help\n");
}

TEST(UsageError, ListsTheCommandsWhenNoneIsNearOrGiven) {
  EXPECT_EQ(answer({"frobnicate"}),
            "error: there is no command \"frobnicate\"; known are job, site\n"
            "hint: see tool --help\n");
  EXPECT_EQ(answer({}),
            "error: a command is missing; known are job, site\nhint: see tool --help\n");
}

TEST(UsageError, NamesTheCommandWhoseHelpExplainsAMissingArgument) {
  EXPECT_EQ(answer({"job", "submit"}),
            "error: FILE is required\nhint: see tool job submit --help\n");
}

TEST(UsageError, NamesAWordThatIsTooMuchAndAMistypedOption) {
  EXPECT_EQ(answer({"job", "submit", "job.toml", "again.toml"}),
            "error: \"again.toml\" is not understood here\nhint: see tool job submit --help\n");
  EXPECT_EQ(answer({"job", "submit", "job.toml", "--wacth"}),
            "error: \"--wacth\" is not understood here; did you mean \"--watch\"?\n"
            "hint: see tool job submit --help\n");
}

TEST(UsageError, IsSilentAboutWhatIsRight) {
  EXPECT_EQ(answer({"job", "submit", "job.toml", "--json"}), "");
}

}  // namespace
}  // namespace entente
