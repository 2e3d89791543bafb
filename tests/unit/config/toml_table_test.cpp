#include "common/config/toml_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>

namespace entente {
namespace {

// What reading `text` with `read` finds wrong; empty when all is well.
std::string problems_of(const std::string& text, const std::function<void(TomlReader)>& read,
                        const std::vector<std::string>& overrides = {}) {
  auto file = TomlFile::parse(text, "site.toml", overrides);
  if (!file) {
    EXPECT_EQ(file.error().code, "config_invalid");
    return file.error().message;
  }
  read(file->root());
  const auto problems = file->problems();
  if (problems) {
    EXPECT_EQ(problems->code, "config_invalid");
  }
  return problems ? problems->message : "";
}

TEST(TomlTable, ReadsEveryType) {
  auto file = TomlFile::parse(R"(
text = "north"
count = -3
share = 0.5
whole = 2
flag = true
wait = "90s"
names = ["a", "b"]
shape = [1, 28]
[inner.deep]
text = "x"
[[rows]]
id = 1
[[rows]]
id = 2
)",
                              "site.toml");
  ASSERT_TRUE(file) << file.error().message;
  TomlReader root = file->root();
  EXPECT_TRUE(root.has("text"));
  EXPECT_FALSE(root.has("absent"));
  EXPECT_EQ(root.string("text"), "north");
  EXPECT_EQ(root.integer("count", -10, 10), -3);
  EXPECT_EQ(root.number("share"), 0.5);
  EXPECT_EQ(root.number("whole"), 2.0);
  EXPECT_TRUE(root.boolean("flag", false));
  EXPECT_EQ(root.duration("wait", Millis{1}), Millis{90'000});
  EXPECT_THAT(root.strings("names"), ::testing::ElementsAre("a", "b"));
  EXPECT_THAT(root.integers("shape"), ::testing::ElementsAre(1, 28));
  EXPECT_EQ(root.table("inner").table("deep").string("text"), "x");
  auto rows = root.tables("rows");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].integer("id", 0, 9) + rows[0].integer("id", 0, 9), 3);
  EXPECT_FALSE(file->problems());
}

TEST(TomlTable, MissingKeysTakeTheirDefault) {
  auto file = TomlFile::parse("", "site.toml");
  ASSERT_TRUE(file);
  TomlReader root = file->root();
  EXPECT_EQ(root.string("a", "x"), "x");
  EXPECT_EQ(root.integer("b", 0, 9, 4), 4);
  EXPECT_EQ(root.number("c", 0.25), 0.25);
  EXPECT_TRUE(root.boolean("d", true));
  EXPECT_EQ(root.duration("e", Millis{7}), Millis{7});
  EXPECT_TRUE(root.strings("f").empty());
  EXPECT_TRUE(root.integers("g").empty());
  EXPECT_TRUE(root.tables("h").empty());
  EXPECT_EQ(root.table("i").string("j", "y"), "y");
  EXPECT_FALSE(file->problems());
}

TEST(TomlTable, DurationsHaveAUnitOrAreSeconds) {
  const auto read = [](const std::string& value) {
    auto file = TomlFile::parse("wait = " + value, "site.toml");
    EXPECT_TRUE(file);
    const auto wait = file->root().duration("wait", Millis{-1});
    return file->problems() ? Millis{-1} : wait;
  };
  EXPECT_EQ(read("\"500ms\""), Millis{500});
  EXPECT_EQ(read("\"5m\""), std::chrono::minutes{5});
  EXPECT_EQ(read("\"2h\""), std::chrono::hours{2});
  EXPECT_EQ(read("\"1d\""), std::chrono::hours{24});
  EXPECT_EQ(read("30"), std::chrono::seconds{30});
  for (const auto* wrong :
       {"\"\"", "\"m\"", "\"5\"", "\"5 m\"", "\"5w\"", "\"-5m\"", "\"1.5h\"", "-1",
        "\"9223372036854775807d\"", "9223372036854775807", "\"99999999999999999999s\""}) {
    EXPECT_EQ(read(wrong), Millis{-1}) << wrong;
  }
}

TEST(TomlTable, AnUnknownKeyIsNamedWithItsLineAndTheNearestKey) {
  EXPECT_EQ(problems_of("[site]\nname = \"a\"\npolcy = 1\n",
                        [](TomlReader root) {
                          TomlReader site = root.table("site");
                          (void)site.string("name");
                          (void)site.string("policy", "");
                        }),
            "site.toml:3: unknown key \"polcy\" in [site]; did you mean \"policy\"?");
}

TEST(TomlTable, AnUnknownKeyFarFromAllListsThoseThatExist) {
  EXPECT_EQ(problems_of("verbosity = 3\n",
                        [](TomlReader root) {
                          (void)root.string("kit", "");
                          (void)root.string("data", "");
                        }),
            "site.toml:1: unknown key \"verbosity\"; known are data, kit");
}

TEST(TomlTable, AnUnknownTableIsAnUnknownKey) {
  EXPECT_EQ(problems_of("[datset]\na = 1\n",
                        [](TomlReader root) { (void)root.table("dataset").string("a", ""); }),
            "site.toml:1: unknown key \"datset\"; did you mean \"dataset\"?");
}

TEST(TomlTable, EveryProblemIsReportedFromTopToBottom) {
  EXPECT_EQ(problems_of("count = \"x\"\nextra = 1\n\n[inner]\nflag = 3\n",
                        [](TomlReader root) {
                          (void)root.string("name");
                          TomlReader inner = root.table("inner");
                          (void)inner.boolean("flag", false);
                          (void)inner.number("share");
                          (void)root.integer("count", 1, 9);
                        }),
            "site.toml: \"name\" is missing\n"
            "site.toml:1: count must be an integer, is a string\n"
            "site.toml:2: unknown key \"extra\"; known are count, inner, name\n"
            "site.toml:4: \"share\" is missing in [inner]\n"
            "site.toml:5: inner.flag must be true or false, is an integer");
}

TEST(TomlTable, RequiredKeysOfAMissingTableAreMissing) {
  EXPECT_EQ(problems_of("", [](TomlReader root) { (void)root.table("train").string("dataset"); }),
            "site.toml: \"dataset\" is missing in [train]");
}

TEST(TomlTable, AWrongTypeIsReportedOnce) {
  EXPECT_EQ(problems_of("train = 3\n",
                        [](TomlReader root) {
                          (void)root.table("train").string("dataset");
                          (void)root.table("train").table("optimizer").number("lr");
                        }),
            "site.toml:1: train must be a table, [train], is an integer");
  EXPECT_EQ(problems_of("[rows]\na = 1\n", [](TomlReader root) { (void)root.tables("rows"); }),
            "site.toml:1: rows must be a list of tables, [[rows]], is a table");
  EXPECT_EQ(
      problems_of("names = [\"a\", 1]\n", [](TomlReader root) { (void)root.strings("names"); }),
      "site.toml:1: names must be a list of strings, contains an integer");
}

TEST(TomlTable, NumbersOutOfRangeAreRefused) {
  EXPECT_EQ(problems_of("count = 10\n", [](TomlReader root) { (void)root.integer("count", 1, 9); }),
            "site.toml:1: count is 10, must be from 1 to 9");
  EXPECT_EQ(
      problems_of("[o]\nlr = inf\n", [](TomlReader root) { (void)root.table("o").number("lr"); }),
      "site.toml:2: o.lr is inf, must be finite");
}

TEST(TomlTable, TheRestOfATableAreAttributes) {
  auto file = TomlFile::parse("type = \"x\"\na = 1\nb = 1.5\nc = true\nd = \"s\"\n", "site.toml");
  ASSERT_TRUE(file);
  TomlReader root = file->root();
  (void)root.string("type");
  EXPECT_EQ(root.rest(),
            (std::map<std::string, Attribute>{
                {"a", std::int64_t{1}}, {"b", 1.5}, {"c", true}, {"d", std::string("s")}}));
  EXPECT_FALSE(file->problems());
  EXPECT_EQ(problems_of("a = [1]\n", [](TomlReader root_of_list) { (void)root_of_list.rest(); }),
            "site.toml:1: a must be true or false, a number or a string, is a list");
}

TEST(TomlTable, AProblemOfTheCallersOwnGetsTheLineOfItsKey) {
  EXPECT_EQ(problems_of("\nname = \"X\"\n",
                        [](TomlReader root) { root.problem("name", "name is not a name"); }),
            "site.toml:2: name is not a name");
}

TEST(TomlTable, InvalidTomlIsRefusedWithItsLine) {
  EXPECT_THAT(problems_of("a = 1\nb = = 2\n", [](TomlReader) {}),
              ::testing::StartsWith("site.toml:2: not valid TOML: "));
  EXPECT_THAT(problems_of("a = 1\na = 2\n", [](TomlReader) {}),
              ::testing::StartsWith("site.toml:2: not valid TOML: "));
  EXPECT_THAT(problems_of("a = " + std::string(100'000, '[') + "\n", [](TomlReader) {}),
              ::testing::StartsWith("site.toml:1: not valid TOML: "));
}

TEST(TomlTable, AReaderOutlivesItsFile) {
  const auto reader = [] { return TomlFile::parse("a = 7", "site.toml")->root(); };
  EXPECT_EQ(reader().integer("a", 0, 9), 7);
}

TEST(TomlOverride, ReplacesAndCreates) {
  auto file =
      TomlFile::parse("a = 1\n[sites]\nmin = 1\n[[rows]]\nid = 1\n[[rows]]\nid = 2\n", "site.toml",
                      {"a=5", "sites.min=3", "sites.mandatory=[\"north\"]", "train.lr=0.5",
                       "name=north", "wait=1h", "rows.1.id=9", "quoted=\"1\"", "eq=a=b"});
  ASSERT_TRUE(file) << file.error().message;
  TomlReader root = file->root();
  EXPECT_EQ(root.integer("a", 0, 9), 5);
  EXPECT_EQ(root.table("sites").integer("min", 0, 9), 3);
  EXPECT_THAT(root.table("sites").strings("mandatory"), ::testing::ElementsAre("north"));
  EXPECT_EQ(root.table("train").number("lr"), 0.5);
  EXPECT_EQ(root.string("name"), "north");
  EXPECT_EQ(root.duration("wait", Millis{0}), std::chrono::hours{1});
  EXPECT_EQ(root.tables("rows")[0].integer("id", 0, 9), 1);
  EXPECT_EQ(root.tables("rows")[1].integer("id", 0, 9), 9);
  EXPECT_EQ(root.string("quoted"), "1");
  EXPECT_EQ(root.string("eq"), "a=b");
  EXPECT_FALSE(file->problems());
}

TEST(TomlOverride, ProblemsNameTheOverrideInsteadOfALine) {
  EXPECT_EQ(problems_of("[sites]\nmin = 1\n",
                        [](TomlReader root) {
                          (void)root.table("sites").integer("min", 1, 9);
                          (void)root.table("sites").strings("mandatory");
                        },
                        {"sites.min=ten", "sites.mandatry=[]"}),
            "--set sites.mandatry=[]: unknown key \"mandatry\" in [sites]; did you mean "
            "\"mandatory\"?\n"
            "--set sites.min=ten: sites.min must be an integer, is a string");
}

TEST(TomlOverride, RefusesWhatIsNoAssignment) {
  const auto refusal = [](const std::string& text) {
    const auto file = TomlFile::parse("a = 1\nrows = [1]\n", "site.toml", {text});
    return file ? std::string() : file.error().message;
  };
  EXPECT_EQ(refusal("a"), "--set \"a\": there is no \"=\"");
  EXPECT_EQ(refusal("=1"), "--set \"=1\": what is before the \"=\" is not a key");
  EXPECT_EQ(refusal("a..b=1"), "--set \"a..b=1\": what is before the \"=\" is not a key");
  EXPECT_EQ(refusal("a="), "--set \"a=\": there is no value");
  EXPECT_EQ(refusal("a=[1"), "--set \"a=[1\": the value is not valid TOML");
  EXPECT_EQ(refusal("a=1\nb=2"), "--set \"a=1\\x0ab=2\": the value is not valid TOML");
  EXPECT_EQ(refusal("a.b=1"), "--set \"a.b=1\": \"b\" is not a key of a table");
  EXPECT_EQ(refusal("a.b.c=1"), "--set \"a.b.c=1\": there is no table \"b\"");
  EXPECT_EQ(refusal("rows.7.x=1"), "--set \"rows.7.x=1\": there is no table \"7\"");
}

class TomlFileOnDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "entente-toml-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(TomlFileOnDisk, IsRead) {
  std::ofstream(folder_ / "site.toml") << "a = 3\n";
  auto file = TomlFile::parse_file(folder_ / "site.toml", {"b=4"});
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->root().integer("a", 0, 9), 3);
  EXPECT_EQ(file->root().integer("b", 0, 9), 4);
}

TEST_F(TomlFileOnDisk, ThatCannotBeReadIsNamedWithTheCause) {
  const auto missing = TomlFile::parse_file(folder_ / "none.toml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "cannot read " + (folder_ / "none.toml").string() + ": No such file or directory");
  const auto directory = TomlFile::parse_file(folder_);
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().message, "cannot read " + folder_.string() + ": Is a directory");
  std::ofstream(folder_ / "big.toml") << std::string((4 << 20) + 1, '#');
  const auto big = TomlFile::parse_file(folder_ / "big.toml");
  ASSERT_FALSE(big);
  EXPECT_THAT(big.error().message, ::testing::HasSubstr("more than 4194304 bytes"));
}

}  // namespace
}  // namespace entente
