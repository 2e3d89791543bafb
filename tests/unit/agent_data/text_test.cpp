// Text with a label: tokens, files of lines, and columns of a table.
#include "site-agent/data/tokeniser.h"
#include "tests/unit/agent_data/table_fixture.h"

namespace entente::agent {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Lt;

std::vector<std::int32_t> tokens_of(const TokenSpec& spec, std::string_view text) {
  std::vector<std::int32_t> tokens;
  EXPECT_TRUE(Tokeniser(spec).tokenise(text, tokens)) << text;
  return tokens;
}

TEST(Tokens, OfBytesAreTheBytesAndPadded) {
  const TokenSpec spec{.by = TokensBy::bytes, .length = 4};
  EXPECT_THAT(tokens_of(spec, "aé"), ElementsAre(98, 0xc3 + 1, 0xa9 + 1, 0));
  EXPECT_THAT(tokens_of(spec, "abcdef"), ElementsAre(98, 99, 100, 101));
  EXPECT_EQ(Tokeniser(spec).vocabulary(), 257U);
}

TEST(Tokens, OfAnAlphabetAreItsPositions) {
  const TokenSpec spec{.by = TokensBy::characters, .length = 5, .alphabet = "abß"};
  EXPECT_THAT(tokens_of(spec, "ßaxb"), ElementsAre(4, 2, 1, 3, 0));
  EXPECT_EQ(Tokeniser(spec).vocabulary(), 5U);
}

TEST(Tokens, OfWordsAreTheSameWhereverAWordStands) {
  const TokenSpec spec{.by = TokensBy::words, .vocabulary = 1000, .length = 4};
  const auto first = tokens_of(spec, "The quick-fox");
  const auto second = tokens_of(spec, "  fox, the 2 QUICK foxes");
  EXPECT_EQ(first[0], second[1]);
  EXPECT_EQ(first[1], second[3]);
  EXPECT_EQ(first[2], second[0]);
  EXPECT_EQ(first[3], 0);
  EXPECT_THAT(second, Each(Lt(1000)));
}

// FNV-1a of "a" is 0xaf63dc4c8601ec8c (draft-eastlake-fnv, test vectors); the finaliser of
// SplitMix64 makes it 0x02c0bdbf481420f8, computed with Python's integers.
TEST(Tokens, OfHashesNeverChange) {
  const TokenSpec spec{.by = TokensBy::words, .vocabulary = 1000, .length = 1};
  EXPECT_THAT(tokens_of(spec, "a"), ElementsAre(1 + 0x02c0bdbf481420f8U % 999));
}

TEST(Tokens, OfTextThatIsNotUtf8AreRefused) {
  const Tokeniser tokeniser({.by = TokensBy::characters, .vocabulary = 100, .length = 8});
  std::vector<std::int32_t> tokens;
  EXPECT_TRUE(tokeniser.tokenise("z\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80", tokens));
  for (const char* text :
       {"\xff", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80"}) {
    EXPECT_FALSE(tokeniser.tokenise(text, tokens)) << text;
  }
}

class Text : public DataFolder {};

TEST_F(Text, EachLineOfAClassesFileIsAnExample) {
  DatasetConfig config;
  config.name = "words";
  config.source = LabelledLines{{{"german", write("ngerman", "Haus\r\n\nTür\n")},
                                 {"english", gzip("english.gz", "house\ndoor\ntree")}}};
  config.table.text = kLineText;
  config.table.label = kLineLabel;
  config.table.tokens = {.by = TokensBy::bytes, .length = 5};
  config.class_names = {"english", "french", "german"};
  const auto data = load(config);
  EXPECT_THAT(data.shape, ElementsAre(5));
  EXPECT_EQ(data.vocabulary, 257U);
  EXPECT_THAT(data.labels, ElementsAre(0, 0, 0, 2, 2));
  ASSERT_EQ(data.tokens.size(), 25U);
  EXPECT_EQ(data.tokens[15], 'H' + 1);
  EXPECT_EQ(data.tokens[19], 0) << "a carriage return is no part of a line";
  EXPECT_THAT(data.class_counts(), ElementsAre(3, 0, 2)) << "no French at this site";
  const auto advert = describe_dataset(config);
  ASSERT_TRUE(advert);
  EXPECT_EQ(advert->vocabulary, 257U);
  EXPECT_EQ(advert->kind, "text");

  config.class_names = {"english"};
  EXPECT_THAT(refusal(config), HasSubstr("ngerman:1: column \"label\" has a class that"));
  config.class_names = {"english", "german"};
  config.table.tokens = {.by = TokensBy::characters, .vocabulary = 50, .length = 5};
  std::get<LabelledLines>(config.source).files["german"] = write("latin1", "Haus\nT\xfcr\n");
  EXPECT_EQ(refusal(config), "latin1:2: column \"text\" has characters that are not UTF-8");
}

TEST_F(Text, MayBeAColumnOfATable) {
  DatasetConfig config;
  config.name = "notes";
  config.source = CsvFile{write("notes.csv", "note,urgent\n\"call, at once\",1\nlater,0\n")};
  config.table.text = "note";
  config.table.label = "urgent";
  config.table.tokens = {.by = TokensBy::words, .vocabulary = 50, .length = 3};
  const auto data = load(config);
  EXPECT_THAT(data.labels, ElementsAre(1, 0));
  ASSERT_EQ(data.tokens.size(), 6U);
  EXPECT_NE(data.tokens[2], 0);
  EXPECT_EQ(data.tokens[4], 0);
}

}  // namespace
}  // namespace entente::agent
