#include "site-agent/data/csv_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/limits.h"
#include "site-agent/data/gzip_stream.h"
#include "site-agent/data/source.h"

namespace entente::agent {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

class CsvReader final : public TableReader {
 public:
  CsvReader(GzipStream stream, char delimiter)
      : stream_(std::move(stream)), delimiter_(delimiter), special_{delimiter, '"', '\n', '\0'} {}

  Expected<void> read_header(bool has_header) {
    if (const auto found = read_record(); !found || !*found) {
      return found ? invalid("is empty") : tl::unexpected(found.error());
    }
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      columns_.push_back(has_header ? std::string(cell(i)) : std::to_string(i + 1));
    }
    first_is_row_ = !has_header;
    return {};
  }

  [[nodiscard]] const std::vector<std::string>& columns() const override { return columns_; }

  [[nodiscard]] std::string place() const override {
    return fmt::format("{}:{}", stream_.name(), record_line_);
  }

  [[nodiscard]] Expected<bool> next(std::vector<Cell>& row) override {
    if (!std::exchange(first_is_row_, false)) {
      if (const auto found = read_record(); !found || !*found) {
        return found;
      }
    }
    if (cells_.size() != columns_.size()) {
      return invalid(
          fmt::format("has {} cells, the first row has {}", cells_.size(), columns_.size()),
          "check the delimiter in agent.toml, and the row for a missing quote");
    }
    row.resize(cells_.size());
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      row[i] = cell(i);
    }
    return true;
  }

 private:
  // carriage_return: behind a closing quote, where only the end of the line may follow.
  enum class At : std::uint8_t { cell_start, plain, quoted, quote_in_quoted, carriage_return };

  [[nodiscard]] std::string_view cell(std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : cells_[i - 1];
    return std::string_view(text_).substr(begin, cells_[i] - begin);
  }

  [[nodiscard]] tl::unexpected<Refusal> invalid(std::string_view cause,
                                                std::string hint = {}) const {
    return invalid_dataset(fmt::format("{}: {}", place(), cause), std::move(hint));
  }

  void end_cell() { cells_.push_back(text_.size()); }

  // Reads up to the end of a record, which is in text_ and cells_ then. False at the end of the
  // file.
  Expected<bool> read_record() {
    begin_record();
    while (true) {
      if (position_ == block_.size()) {
        const auto more = read_block();
        if (!more || !*more) {
          return more ? end_of_file() : more;
        }
      }
      if (auto appended = append_run(); !appended) {
        return tl::unexpected(appended.error());
      }
      if (position_ == block_.size()) {
        continue;
      }
      const char byte = block_[position_++];
      line_ += byte == '\n' ? 1 : 0;
      if (byte == '\n' && at_ != At::quoted) {
        if (is_blank()) {
          begin_record();
          continue;
        }
        end_record();
        return true;
      }
      if (auto taken = take(byte); !taken) {
        return tl::unexpected(taken.error());
      }
    }
  }

  void begin_record() {
    text_.clear();
    cells_.clear();
    at_ = At::cell_start;
    was_quoted_ = false;
    record_line_ = line_;
  }

  // Takes what has no meaning of its own at once: most bytes of most tables.
  Expected<void> append_run() {
    if (at_ == At::quote_in_quoted || at_ == At::carriage_return) {
      return {};
    }
    const auto end = std::find_first_of(block_.begin() + position_, block_.end(), special_.begin(),
                                        special_.end());
    const auto run =
        block_.substr(position_, static_cast<std::size_t>(end - block_.begin()) - position_);
    if (run.empty()) {
      return {};
    }
    if (text_.size() + run.size() > limits::kTableRowBytesMax) {
      return invalid(fmt::format("is longer than {} MiB", limits::kTableRowBytesMax >> 20),
                     at_ == At::quoted ? "a quote is not closed, there or before" : "");
    }
    at_ = at_ == At::cell_start ? At::plain : at_;
    text_ += run;
    position_ += run.size();
    return {};
  }

  // One of the special bytes, or one behind a quote.
  Expected<void> take(char byte) {
    if (byte == '\0') {
      return invalid("has a NUL byte, it is no text in UTF-8",
                     "export the table again as text in UTF-8");
    }
    if (at_ == At::quoted) {
      if (byte == '"') {
        at_ = At::quote_in_quoted;
      } else {
        text_.push_back(byte);
      }
      return {};
    }
    if (byte == delimiter_ && at_ != At::carriage_return) {
      return begin_cell();
    }
    if (at_ == At::quote_in_quoted && byte == '"') {
      at_ = At::quoted;
      text_.push_back(byte);
      return {};
    }
    if (at_ == At::quote_in_quoted && byte == '\r') {
      at_ = At::carriage_return;
      return {};
    }
    if (at_ == At::cell_start) {  // and the byte is a quote
      at_ = At::quoted;
      was_quoted_ = true;
      return {};
    }
    if (at_ == At::plain) {
      return invalid("has a quote within a cell that does not begin with one",
                     "put the whole cell in quotes, and write the one within it twice");
    }
    return invalid("has text behind a closing quote", "write a quote within a cell twice");
  }

  Expected<void> begin_cell() {
    end_cell();
    at_ = At::cell_start;
    was_quoted_ = false;
    if (cells_.size() >= limits::kTableColumnsMax) {
      return invalid(fmt::format("has more than {} columns", limits::kTableColumnsMax));
    }
    return {};
  }

  // A line without anything on it.
  [[nodiscard]] bool is_blank() const {
    return cells_.empty() && !was_quoted_ && (text_.empty() || text_ == "\r");
  }

  void end_record() {
    if (at_ == At::plain && text_.ends_with('\r')) {
      text_.pop_back();
    }
    end_cell();
  }

  Expected<bool> end_of_file() {
    if (at_ == At::quoted) {
      return invalid("begins a cell in quotes that are never closed");
    }
    if (is_blank()) {
      return false;
    }
    end_record();
    return true;
  }

  // False at the end of the file.
  Expected<bool> read_block() {
    const auto block = stream_.read();
    if (!block) {
      return tl::unexpected(block.error());
    }
    block_ = *block;
    position_ = std::exchange(is_start_, false) && block_.starts_with(kByteOrderMark)
                    ? kByteOrderMark.size()
                    : 0;
    return !block_.empty();
  }

  GzipStream stream_;
  char delimiter_;
  std::array<char, 4> special_;
  std::vector<std::string> columns_;
  bool first_is_row_ = false;

  std::string_view block_;
  std::size_t position_ = 0;
  bool is_start_ = true;

  std::string text_;                // of the record, cell behind cell
  std::vector<std::size_t> cells_;  // where each ends
  At at_ = At::cell_start;
  bool was_quoted_ = false;  // the cell that is being read
  std::size_t line_ = 1;
  std::size_t record_line_ = 1;
};

}  // namespace

Expected<std::unique_ptr<TableReader>> open_csv(const DatasetConfig& config) {
  const auto& csv = std::get<CsvFile>(config.source);
  auto stream = GzipStream::open(csv.file);
  if (!stream) {
    return tl::unexpected(stream.error());
  }
  auto reader = std::make_unique<CsvReader>(*std::move(stream), csv.delimiter.front());
  if (auto header = reader->read_header(csv.header); !header) {
    return tl::unexpected(header.error());
  }
  return reader;
}

}  // namespace entente::agent
