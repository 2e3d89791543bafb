// What a CSV file means, and that a damaged or hostile one is refused with its place.
#include "site-agent/data/csv_reader.h"

#include "common/base/limits.h"
#include "tests/unit/agent_data/table_fixture.h"

namespace entente::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Csv : public DataFolder {
 protected:
  using Rows = std::vector<std::vector<std::string>>;

  Expected<Rows> read(const CsvFile& csv) const {
    DatasetConfig config;
    config.source = csv;
    auto reader = open_csv(config);
    if (!reader) {
      return tl::unexpected(reader.error());
    }
    Rows rows{(*reader)->columns()};
    std::vector<Cell> cells;
    while (true) {
      const auto more = (*reader)->next(cells);
      if (!more) {
        return tl::unexpected(more.error());
      }
      if (!*more) {
        return rows;
      }
      auto& row = rows.emplace_back();
      for (const Cell& cell : cells) {
        row.emplace_back(cell.value_or("NULL"));
      }
    }
  }

  Rows rows(std::string_view text) const {
    const auto rows = read({write("t.csv", text)});
    EXPECT_TRUE(rows) << rows.error().message;
    return rows.value_or(Rows{});
  }

  std::string refusal(std::string_view text) const {
    const auto rows = read({write("t.csv", text)});
    EXPECT_FALSE(rows) << text;
    return rows ? "" : rows.error().message;
  }
};

TEST_F(Csv, HasAHeaderAndRows) {
  EXPECT_THAT(rows("a,b\n1,x\n2,\n"),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "x"), ElementsAre("2", "")));
}

TEST_F(Csv, QuotedCellsMayHoldAnything) {
  EXPECT_THAT(rows("a,b\n\"x, \"\"y\"\"\",\"two\nlines\"\n\"\",\"\"\"\"\n"),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("x, \"y\"", "two\nlines"),
                          ElementsAre("", "\"")));
}

TEST_F(Csv, LinesMayEndInEitherWayOrNotAtAll) {
  const Rows expected{{"a", "b"}, {"1", "2"}, {"3", "4"}};
  EXPECT_EQ(rows("a,b\r\n1,2\r\n3,4\r\n"), expected);
  EXPECT_EQ(rows("a,b\n1,2\n3,4"), expected);
  EXPECT_EQ(rows("\n\na,b\n\r\n1,2\n\n3,\"4\"\r\n\n"), expected);
  EXPECT_EQ(rows("\xef\xbb\xbf"
                 "a,b\n1,2\n3,4\n"),
            expected)
      << "a byte order mark";
}

TEST_F(Csv, MayBeSeparatedByTabsAndHaveNoHeader) {
  const auto table = read({write("t.tsv", "1\tx,y\n2\t\"z\"\n"), "\t", /*header=*/false});
  ASSERT_TRUE(table);
  EXPECT_THAT(*table,
              ElementsAre(ElementsAre("1", "2"), ElementsAre("1", "x,y"), ElementsAre("2", "z")));
}

// The block in which a cell is cut is another one for each length of the first cell.
TEST_F(Csv, IsReadAlikeWhereverABlockEnds) {
  constexpr std::size_t kBlock = 1 << 20;
  for (std::size_t left = 0; left < 24; ++left) {
    const std::string first(kBlock - left, 'x');
    const auto table = rows("a,b\n" + first + ",\"q\"\"\r\n,\"\r\n1,2\n");
    EXPECT_THAT(table, ElementsAre(ElementsAre("a", "b"), ElementsAre(first, "q\"\r\n,"),
                                   ElementsAre("1", "2")))
        << left;
  }
}

TEST_F(Csv, MayBeCompressedButNotCut) {
  const auto path = gzip("t.csv.gz", "a,b\n1,2\n3,4\n");
  const auto whole = read({path});
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->size(), 3U);
  for (auto bytes = std::filesystem::file_size(path); bytes-- > 4;) {
    std::filesystem::resize_file(path, bytes);
    const auto cut = read({path});
    EXPECT_FALSE(cut) << bytes;
  }
}

TEST_F(Csv, AFaultIsNamedWithItsLine) {
  EXPECT_EQ(refusal("a,b\n1,2\n3\n"), "t.csv:3: has 1 cells, the first row has 2");
  EXPECT_EQ(refusal("a,b\n1,\"two\nlines\"\n3,4,5\n"), "t.csv:4: has 3 cells, the first row has 2");
  EXPECT_EQ(refusal("a,b\n1,x\"y\n"),
            "t.csv:2: has a quote within a cell that does not begin with one");
  EXPECT_EQ(refusal("a,b\n1,\"x\"y\n"), "t.csv:2: has text behind a closing quote");
  EXPECT_EQ(refusal("a,b\n1,\"x\"\ry\n"), "t.csv:2: has text behind a closing quote");
  EXPECT_EQ(refusal(std::string("a,b\n1,x\0y\n", 10)),
            "t.csv:2: has a NUL byte, it is no text in UTF-8");
  EXPECT_EQ(refusal("a,b\n1,2\n\n3,\"never\nclosed\n"),
            "t.csv:4: begins a cell in quotes that are never closed");
  EXPECT_EQ(refusal(""), "t.csv:1: is empty");
}

TEST_F(Csv, AQuoteThatIsNeverClosedDoesNotFillTheMemory) {
  std::string text = "a,b\n1,\"";
  text.append(limits::kTableRowBytesMax + 1, 'x');
  EXPECT_EQ(refusal(text), "t.csv:2: is longer than 16 MiB");
}

TEST_F(Csv, AHeaderOfAMillionColumnsIsRefused) {
  std::string text;
  for (int i = 0; i < 1'000'000; ++i) {
    text += "c,";
  }
  EXPECT_EQ(refusal(text), "t.csv:1: has more than 16384 columns");
}

TEST_F(Csv, AFileThatIsNotThereIsNamedWithoutItsFolder) {
  const auto missing = read({folder_ / "gone.csv"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "dataset_missing");
  EXPECT_EQ(missing.error().message, "cannot open gone.csv: No such file or directory");
  EXPECT_THAT(read({folder_}).error().message, HasSubstr("it is a folder"));
}

}  // namespace
}  // namespace entente::agent
