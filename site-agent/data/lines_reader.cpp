#include "site-agent/data/lines_reader.h"

#include <fmt/format.h>

#include "common/base/limits.h"
#include "site-agent/data/gzip_stream.h"
#include "site-agent/data/source.h"

namespace entente::agent {
namespace {

class LinesReader final : public TableReader {
 public:
  explicit LinesReader(const LabelledLines& lines)
      : files_(lines.files.begin(), lines.files.end()), next_file_(files_.begin()) {}

  [[nodiscard]] const std::vector<std::string>& columns() const override { return columns_; }

  [[nodiscard]] std::string place() const override {
    return stream_ ? fmt::format("{}:{}", stream_->name(), line_number_) : "files";
  }

  [[nodiscard]] Expected<bool> next(std::vector<Cell>& row) override {
    while (true) {
      const auto found = read_line();
      if (!found) {
        return found;
      }
      if (*found) {
        if (line_.find_first_not_of(" \t\r") == std::string::npos) {
          continue;
        }
        row.assign({Cell(line_), Cell(label_)});
        return true;
      }
      if (next_file_ == files_.end()) {
        return false;
      }
      if (auto opened = open_next(); !opened) {
        return tl::unexpected(opened.error());
      }
    }
  }

 private:
  Expected<void> open_next() {
    const auto& [label, path] = *next_file_++;
    auto stream = GzipStream::open(path);
    if (!stream) {
      return tl::unexpected(stream.error());
    }
    stream_ = *std::move(stream);
    label_ = label;
    block_ = {};
    line_number_ = 0;
    return {};
  }

  // Puts the file's next line into line_. False at its end.
  Expected<bool> read_line() {
    line_.clear();
    ++line_number_;
    while (stream_) {
      if (block_.empty()) {
        const auto block = stream_->read();
        if (!block) {
          return tl::unexpected(block.error());
        }
        block_ = *block;
        if (block_.empty()) {
          return !line_.empty();
        }
      }
      const auto end = block_.find('\n');
      const auto part = block_.substr(0, end);
      if (line_.size() + part.size() > limits::kTableRowBytesMax ||
          part.find('\0') != std::string_view::npos) {
        return invalid_dataset(fmt::format("{}: has a NUL byte, or is longer than {} MiB", place(),
                                           limits::kTableRowBytesMax >> 20),
                               "store the text in UTF-8, an example on each line");
      }
      line_ += part;
      if (end != std::string_view::npos) {
        block_.remove_prefix(end + 1);
        return true;
      }
      block_ = {};
    }
    return false;
  }

  std::vector<std::string> columns_{kLineText, kLineLabel};
  std::vector<std::pair<std::string, std::filesystem::path>> files_;
  std::vector<std::pair<std::string, std::filesystem::path>>::const_iterator next_file_;
  std::optional<GzipStream> stream_;
  std::string label_;
  std::string_view block_;
  std::string line_;
  std::size_t line_number_ = 0;
};

}  // namespace

Expected<std::unique_ptr<TableReader>> open_lines(const DatasetConfig& config) {
  return std::make_unique<LinesReader>(std::get<LabelledLines>(config.source));
}

}  // namespace entente::agent
