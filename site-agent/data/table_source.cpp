#include "site-agent/data/table_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "site-agent/data/feature_column.h"
#include "site-agent/data/holdout.h"
#include "site-agent/data/tokeniser.h"

namespace entente::agent {
namespace {

// Where a name stands among the columns.
class Header {
 public:
  explicit Header(const TableReader& table) : names_(table.columns()) {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      ++count_[names_[i]];
      position_.emplace(names_[i], i);
    }
  }

  [[nodiscard]] bool has(const std::string& name) const { return position_.contains(name); }

  // `is_header`: whether the columns' names are names. Of a table without a header they are what
  // its first row holds, which nobody is told.
  Expected<std::size_t> find(const std::string& name, std::string_view key, bool is_header) const {
    const auto found = position_.find(name);
    if (found == position_.end()) {
      const auto near = is_header ? nearest(name, names_) : std::nullopt;
      return invalid_dataset(
          fmt::format("there is no column {}, which {} names{}", quote(name), key,
                      near ? fmt::format("; did you mean {}?", quote(*near)) : std::string()),
          "correct the name in agent.toml, or header if the table has none");
    }
    if (count_.at(name) > 1) {
      return invalid_dataset(fmt::format("there are two columns {}", quote(name)),
                             "rename one of them");
    }
    return found->second;
  }

 private:
  const std::vector<std::string>& names_;
  std::map<std::string_view, std::size_t> position_;
  std::map<std::string_view, std::size_t> count_;
};

class TableSource final : public Source {
 public:
  TableSource(const DatasetConfig& config, bool keep)
      : config_(config), keep_(keep), tokeniser_(config.table.tokens) {}

  [[nodiscard]] std::size_t size() const override { return size_; }
  [[nodiscard]] std::span<const std::int64_t> labels() const override { return labels_; }
  [[nodiscard]] Expected<std::vector<std::uint64_t>> fingerprints() override {
    return std::move(fingerprints_);
  }
  [[nodiscard]] const Schema& schema() const override { return schema_; }

  Expected<void> find_columns(const TableReader& table) {
    const Header header(table);
    const auto one = [](const std::string& name) {
      return name.empty() ? std::vector<std::string>{} : std::vector{name};
    };
    struct Wanted {
      std::string_view key;
      std::vector<std::string> names;
      std::vector<std::size_t>& cells;
    };
    const std::array wanted{
        Wanted{"features", spec().features, feature_cells_},
        Wanted{"text", one(spec().text), text_cell_},
        Wanted{"label", one(spec().label), label_cell_},
        Wanted{"targets", spec().targets, target_cells_},
        Wanted{"holdout_by", one(config_.holdout.value_or(Holdout{}).by), holdout_cell_},
    };
    const bool is_header = std::any_of(wanted.begin(), wanted.end(), [&](const Wanted& columns) {
      return std::any_of(columns.names.begin(), columns.names.end(),
                         [&](const std::string& name) { return header.has(name); });
    });
    for (const auto& [key, names, cells] : wanted) {
      for (const std::string& name : names) {
        const auto found = header.find(name, key, is_header);
        if (!found) {
          return tl::unexpected(found.error());
        }
        cells.push_back(*found);
      }
    }
    for (const std::string& name : spec().features) {
      features_.emplace_back(name, spec());
    }
    return {};
  }

  Expected<void> take(const std::vector<Cell>& row) {
    for (std::size_t i = 0; i < features_.size(); ++i) {
      const auto cell = present(row[feature_cells_[i]], spec().missing_words);
      if (auto fault = features_[i].add(cell, keep_)) {
        return at_column(features_[i].name(), *fault);
      }
    }
    if (auto taken = take_text(row); !taken) {
      return taken;
    }
    if (auto taken = take_answer(row); !taken) {
      return taken;
    }
    if (config_.holdout) {
      fingerprints_.push_back(fingerprint(row));
    }
    ++size_;
    return {};
  }

  Expected<void> finish(std::string_view table) {
    for (const FeatureColumn& feature : features_) {
      feature.append_names(schema_.feature_names);
    }
    if (schema_.feature_names.size() > limits::kTableInputsMax) {
      return invalid_dataset(fmt::format("its columns make {} inputs, at most {} are possible",
                                         schema_.feature_names.size(), limits::kTableInputsMax));
    }
    if (text_cell_.empty()) {
      schema_.shape = {static_cast<std::int64_t>(schema_.feature_names.size())};
    } else {
      schema_.shape = {spec().tokens.length};
      schema_.vocabulary = tokeniser_.vocabulary();
    }
    schema_.targets = static_cast<std::uint32_t>(target_cells_.size());
    if (!label_cell_.empty()) {
      const auto largest = std::max_element(labels_.begin(), labels_.end());
      const auto classes = classes_of(config_, largest == labels_.end() ? -1 : *largest, table);
      if (!classes) {
        return tl::unexpected(classes.error());
      }
      schema_.classes = *classes;
    }
    return {};
  }

  [[nodiscard]] Expected<Dataset> read(const Selection& selection) override {
    Dataset dataset{schema_, {}, {}, {}, {}};
    const std::size_t width = schema_.feature_names.size();
    dataset.features.resize(selection.examples.size() * width);
    float* to = dataset.features.data();
    for (FeatureColumn& feature : features_) {
      if (auto fitted = feature.fit(selection.fitted_on); !fitted) {
        return tl::unexpected(fitted.error());
      }
      feature.write(selection.examples, to, width);
      to += feature.width();
      feature = FeatureColumn(feature.name(), spec());  // its memory is not needed any more
    }
    for (const auto example : selection.examples) {
      if (!text_cell_.empty()) {
        const auto text = tokens_.begin() + std::ptrdiff_t{example} * spec().tokens.length;
        dataset.tokens.insert(dataset.tokens.end(), text, text + spec().tokens.length);
      }
      if (schema_.targets == 0) {
        dataset.labels.push_back(labels_[example]);
      }
      const auto first = values_.begin() + std::ptrdiff_t{example} * schema_.targets;
      dataset.values.insert(dataset.values.end(), first, first + schema_.targets);
    }
    return dataset;
  }

 private:
  [[nodiscard]] const TableSpec& spec() const { return config_.table; }

  // The place is put before it by whoever knows it.
  static tl::unexpected<Refusal> at_column(std::string_view name, std::string_view fault) {
    return invalid_dataset(fmt::format("column {} {}", quote(name), fault),
                           "correct the data, or what agent.toml says about the column "
                           "(docs/datasets.md)");
  }

  Expected<void> take_text(const std::vector<Cell>& row) {
    if (text_cell_.empty()) {
      return {};
    }
    const auto cell = present(row[text_cell_.front()], spec().missing_words);
    if (!cell) {
      return at_column(spec().text, "has no value");
    }
    if (!tokeniser_.tokenise(*cell, text_)) {
      return at_column(spec().text, "has characters that are not UTF-8");
    }
    if (keep_) {
      tokens_.insert(tokens_.end(), text_.begin(), text_.end());
    }
    return {};
  }

  Expected<void> take_answer(const std::vector<Cell>& row) {
    for (std::size_t i = 0; i < target_cells_.size(); ++i) {
      const auto cell = present(row[target_cells_[i]], spec().missing_words);
      if (!cell) {
        return at_column(spec().targets[i], "has no value");
      }
      const auto number = parse_number(*cell);
      if (!number) {
        return at_column(spec().targets[i], "has text where a number belongs");
      }
      if (keep_) {
        values_.push_back(*number);
      }
    }
    if (label_cell_.empty()) {
      return {};
    }
    const auto cell = present(row[label_cell_.front()], spec().missing_words);
    if (!cell) {
      return at_column(spec().label, "has no value");
    }
    return config_.class_names.empty() ? take_number_of_class(*cell) : take_name_of_class(*cell);
  }

  Expected<void> take_name_of_class(std::string_view name) {
    const auto& names = config_.class_names;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return at_column(spec().label, "has a class that class_names does not list");
    }
    labels_.push_back(found - names.begin());
    return {};
  }

  Expected<void> take_number_of_class(std::string_view text) {
    std::int64_t label = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
    if (error != std::errc() || end != text.data() + text.size() || label < 0 ||
        label >= kLabelsMax) {
      return at_column(spec().label,
                       fmt::format("has no label from 0 to {}; list the names of classes in "
                                   "class_names",
                                   kLabelsMax - 1));
    }
    if (config_.classes != 0 && label >= config_.classes) {
      return at_column(spec().label,
                       fmt::format("has a label that is out of range, the dataset has "
                                   "{} classes",
                                   config_.classes));
    }
    labels_.push_back(label);
    return {};
  }

  [[nodiscard]] std::uint64_t fingerprint(const std::vector<Cell>& row) const {
    Fingerprint fingerprint;
    const auto add = [&](const Cell& cell) {
      fingerprint.add(cell.value_or(std::string_view()));
      fingerprint.end_piece();
    };
    if (holdout_cell_.empty()) {
      std::for_each(row.begin(), row.end(), add);
    } else {
      add(row[holdout_cell_.front()]);
    }
    return fingerprint.value();
  }

  DatasetConfig config_;
  bool keep_;
  std::vector<std::size_t> feature_cells_;
  std::vector<std::size_t> text_cell_;  // one, or none
  std::vector<std::size_t> target_cells_;
  std::vector<std::size_t> label_cell_;    // one, or none
  std::vector<std::size_t> holdout_cell_;  // likewise

  std::vector<FeatureColumn> features_;
  Tokeniser tokeniser_;
  std::vector<std::int32_t> text_;    // of the row that is being read
  std::vector<std::int32_t> tokens_;  // of all
  std::vector<std::int64_t> labels_;
  std::vector<float> values_;
  std::vector<std::uint64_t> fingerprints_;
  std::size_t size_ = 0;
  Schema schema_;
};

tl::unexpected<Refusal> in(std::string_view place, Refusal refusal) {
  refusal.message = fmt::format("{}: {}", place, refusal.message);
  return tl::unexpected(std::move(refusal));
}

}  // namespace

Expected<std::unique_ptr<Source>> open_table(const DatasetConfig& config,
                                             std::unique_ptr<TableReader> rows, Purpose purpose) {
  auto source = std::make_unique<TableSource>(config, purpose == Purpose::load);
  if (auto found = source->find_columns(*rows); !found) {
    return in(rows->place(), found.error());
  }
  std::vector<Cell> row;
  while (true) {
    const auto more = rows->next(row);
    if (!more) {
      return tl::unexpected(more.error());
    }
    if (!*more) {
      break;
    }
    if (auto taken = source->take(row); !taken) {
      return in(rows->place(), taken.error());
    }
  }
  if (auto finished = source->finish(rows->place()); !finished) {
    return tl::unexpected(finished.error());
  }
  return source;
}

}  // namespace entente::agent
