#include "common/runtime/failpoint.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <set>

namespace entente {
namespace {

TEST(Failpoints, HaveNamesOfTheirOwnAndASentence) {
  std::set<std::string_view> names;
  for (const auto& point : kFailpoints) {
    EXPECT_TRUE(names.insert(point.name).second) << point.name;
    EXPECT_FALSE(point.sentence.empty()) << point.name;
  }
}

#ifdef ENTENTE_FAILPOINTS

// Each in a process of its own: the switches are read once.
void reach(const char* wanted, int times) {
  ::setenv("ENTENTE_FAILPOINT", wanted, 1);
  for (int i = 0; i < times; ++i) {
    ENTENTE_FAILPOINT("blob.sync.before");
    ENTENTE_FAILPOINT("storage.commit.after");
  }
  std::_Exit(0);
}

TEST(Failpoints, KillTheProcessWhenItsTurnHasCome) {
  EXPECT_EXIT(reach("storage.commit.after", 1), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(reach("storage.commit.after:3", 3), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(reach("storage.commit.after:3:1", 3), testing::KilledBySignal(SIGKILL), "");
}

TEST(Failpoints, LetTheProcessLiveBefore) {
  EXPECT_EXIT(reach("storage.commit.after:3", 2), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(reach("storage.commit.before", 3), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(reach("", 3), testing::ExitedWithCode(0), "");
}

TEST(Failpoints, RefuseANameThatIsNone) {
  for (const auto* wanted : {"storage.commit", "storage.commit.after:", "storage.commit.after:0",
                             "storage.commit.after:x", "storage.commit.after:1:1:1"}) {
    EXPECT_EXIT(reach(wanted, 1), testing::ExitedWithCode(2), "is not \"name") << wanted;
  }
}

#endif

}  // namespace
}  // namespace entente
