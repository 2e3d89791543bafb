#include "broker/expressions/sqlite_evaluator.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/expressions/advert_tables.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente::broker {
namespace {

// Names of the allow-list, in the order of the alphabet.
constexpr std::array<std::string_view, 20> kFunctions{
    "abs",  "coalesce", "count", "glob", "has",    "ifnull", "iif",    "instr", "label", "length",
    "like", "lower",    "max",   "min",  "nullif", "round",  "substr", "sum",   "trim",  "upper"};
static_assert(std::is_sorted(kFunctions.begin(), kFunctions.end()));

// Instructions of SQLite's machine that one evaluation may take: a site's thousand datasets can be
// read a few times, not joined with each other.
constexpr int kStepsPerLook = 1000;
constexpr int kLooksMax = 50;

// Nothing in an advert that can be read is longer; concatenating may not make it so. Lower than the
// expression's pattern matching needs to become slow.
constexpr int kValueBytesMax = 4096;
constexpr int kDepthMax = 64;
constexpr int kPatternBytesMax = 64;
constexpr int kFunctionArgumentsMax = 16;
constexpr int kInstructionsMax = 10'000;

// Expressions that are kept ready, and adverts with their answers.
constexpr std::size_t kExpressionsKept = 4096;
constexpr std::size_t kDatasetsNamedMax = 3;

constexpr const char* kHint = "docs/expressions.md lists the columns and functions";

using Answer = std::optional<double>;  // nothing: NULL, or no number

struct Column {
  bool of_site = true;
  std::string name;
  auto operator<=>(const Column&) const = default;
};

struct Outcome {
  enum class Kind : std::uint8_t { null, number, other, error };
  Kind kind = Kind::null;
  double number = 0;
};

// Whether the text is one expression that stays within the brackets around it.
std::optional<std::string> shape_problem(std::string_view text) {
  if (text.size() > limits::kExpressionBytesMax) {
    return fmt::format("has {} bytes, may have {}", text.size(), limits::kExpressionBytesMax);
  }
  int depth = 0;
  char quote_open = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') {
      return "has a control character";
    }
    if (quote_open != 0) {
      quote_open = c == quote_open ? 0 : quote_open;
      continue;
    }
    const auto two = text.substr(i, 2);
    if (two == "--" || two == "/*") {
      return "has a comment";
    }
    if (c == '\'' || c == '"' || c == '`') {
      quote_open = c;
    } else if (c == '[' || c == ';' || c == '?' || c == ':' || c == '@' || c == '$' || c == '#') {
      return fmt::format("has a '{}', which has no place in an expression", c);
    } else if (c == '(') {
      ++depth;
    } else if (c == ')' && --depth < 0) {
      return "closes a bracket that it has not opened";
    }
  }
  if (quote_open != 0) {
    return "does not close a quote";
  }
  return depth != 0 ? std::optional<std::string>("does not close a bracket") : std::nullopt;
}

// `scans with examples = 640`
std::string describe(const DatasetAdvert& dataset, const std::set<Column>& columns) {
  std::vector<std::string> values;
  for (const auto& column : columns) {
    if (!column.of_site && column.name != "name") {
      values.push_back(fmt::format("{} = {}", column.name, dataset_value(dataset, column.name)));
    }
  }
  return values.empty() ? dataset.name
                        : fmt::format("{} with {}", dataset.name, fmt::join(values, ", "));
}

// A site that has everything, to see what an expression gives.
SiteAdvert example_advert() {
  SiteAdvert advert;
  advert.slots = 2;
  advert.threads_per_slot = 4;
  advert.version = "1.0.0";
  advert.resources = {8, 16'000'000'000, 1};
  advert.jurisdiction = "DE";
  advert.labels = {{"network", "university"}};
  advert.datasets.push_back({"scans", "idx", 1000, {1, 28, 28}, 10, {}, {"ct", "2024"}});
  return advert;
}

}  // namespace

struct SqliteEvaluator::Engine {
  struct Closer {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  using Connection = std::unique_ptr<sqlite3, Closer>;
  using Statement = std::unique_ptr<sqlite3_stmt, Closer>;

  struct Prepared {
    Statement statement;
    std::set<Column> columns;  // that it reads
  };
  // The answers for one advert of a site.
  struct SiteMemory {
    SiteAdvert advert;
    std::unordered_map<std::string, Answer> answers;
  };

  ShownAdvert shown;
  Connection connection;  // before what is prepared on it
  std::unordered_map<std::string, Prepared> prepared;
  std::map<SiteId, SiteMemory> memory;

  // Of the preparation or evaluation under way.
  std::set<Column> columns_read;
  std::string not_allowed;
  int looks_left = 0;

  Engine();
  void must(int result) const;
  [[nodiscard]] int authorize(int action, const char* first, const char* second);
  [[nodiscard]] Expected<Prepared> prepare(const std::string& expression);
  [[nodiscard]] std::string reason_of_failure();
  [[nodiscard]] Outcome evaluate(Prepared& expression, const SiteId& site,
                                 const SiteAdvert& advert);
  [[nodiscard]] Prepared* keep_prepared(const std::string& expression);
  [[nodiscard]] Answer answer(const std::string& expression, const SiteId& site,
                              const SiteAdvert& advert);
};

SqliteEvaluator::Engine::Engine() {
  sqlite3* opened = nullptr;
  const int result =
      sqlite3_open_v2(":memory:", &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  connection.reset(opened);
  must(result);
  for (const auto& [name, value] :
       {std::pair(SQLITE_DBCONFIG_DQS_DML, 0), std::pair(SQLITE_DBCONFIG_DQS_DDL, 0),
        std::pair(SQLITE_DBCONFIG_DEFENSIVE, 1), std::pair(SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
        std::pair(SQLITE_DBCONFIG_ENABLE_VIEW, 0)}) {
    must(sqlite3_db_config(opened, name, value, nullptr));
  }
  add_advert_tables(opened, shown);
  for (const auto& [limit, value] :
       {std::pair(SQLITE_LIMIT_LENGTH, kValueBytesMax),
        std::pair(SQLITE_LIMIT_SQL_LENGTH, kValueBytesMax),
        std::pair(SQLITE_LIMIT_EXPR_DEPTH, kDepthMax),
        std::pair(SQLITE_LIMIT_LIKE_PATTERN_LENGTH, kPatternBytesMax),
        std::pair(SQLITE_LIMIT_FUNCTION_ARG, kFunctionArgumentsMax),
        std::pair(SQLITE_LIMIT_VDBE_OP, kInstructionsMax), std::pair(SQLITE_LIMIT_COLUMN, 64),
        std::pair(SQLITE_LIMIT_COMPOUND_SELECT, 2), std::pair(SQLITE_LIMIT_ATTACHED, 0),
        std::pair(SQLITE_LIMIT_VARIABLE_NUMBER, 0), std::pair(SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        std::pair(SQLITE_LIMIT_WORKER_THREADS, 0)}) {
    sqlite3_limit(opened, limit, value);
  }
  must(sqlite3_set_authorizer(
      opened,
      [](void* self, int action, const char* first, const char* second, const char*, const char*) {
        return static_cast<Engine*>(self)->authorize(action, first, second);
      },
      this));
  sqlite3_progress_handler(
      opened, kStepsPerLook,
      [](void* self) { return --static_cast<Engine*>(self)->looks_left < 0 ? 1 : 0; }, this);
}

void SqliteEvaluator::Engine::must(int result) const {
  if (result != SQLITE_OK) {
    throw std::runtime_error(fmt::format("SQLite: {}", sqlite3_errmsg(connection.get())));
  }
}

int SqliteEvaluator::Engine::authorize(int action, const char* first, const char* second) {
  const std::string_view one = first == nullptr ? "" : first;
  const std::string_view two = second == nullptr ? "" : second;
  switch (action) {
    case SQLITE_SELECT:
      return SQLITE_OK;
    case SQLITE_READ:
      if (one == "site" || one == "dataset") {
        if (!two.empty()) {
          columns_read.insert({one == "site", std::string(two)});
        }
        return SQLITE_OK;
      }
      not_allowed = fmt::format("the table {}", one);
      return SQLITE_DENY;
    case SQLITE_FUNCTION:
      if (std::binary_search(kFunctions.begin(), kFunctions.end(), two)) {
        return SQLITE_OK;
      }
      not_allowed = fmt::format("the function {}()", two);
      return SQLITE_DENY;
    default:
      not_allowed = "anything but reading the advert";
      return SQLITE_DENY;
  }
}

// What SQLite says, in our words where a better hint is possible.
std::string SqliteEvaluator::Engine::reason_of_failure() {
  if (!not_allowed.empty()) {
    return fmt::format("uses {}, which is not allowed", not_allowed);
  }
  const std::string said = sqlite3_errmsg(connection.get());
  constexpr std::string_view kNoColumn = "no such column: ";
  if (said.starts_with(kNoColumn)) {
    const auto name = said.substr(kNoColumn.size());
    auto known = site_columns();
    const auto of_dataset = dataset_columns();
    if (std::find(of_dataset.begin(), of_dataset.end(), name) != of_dataset.end()) {
      return fmt::format(
          "asks the site for {}, which is a column of its datasets: write EXISTS "
          "(SELECT 1 FROM dataset WHERE ...)",
          quote(name));
    }
    known.insert(known.end(), of_dataset.begin(), of_dataset.end());
    return fmt::format("names the unknown column {}{}", quote(name), suggestion(name, known));
  }
  constexpr std::string_view kNoTable = "no such table: ";
  if (said.starts_with(kNoTable)) {
    return fmt::format("names the unknown table {}; there are site and dataset",
                       quote(said.substr(kNoTable.size())));
  }
  constexpr std::string_view kNoFunction = "no such function: ";
  if (said.starts_with(kNoFunction)) {
    const auto name = said.substr(kNoFunction.size());
    return fmt::format("names the unknown function {}{}", quote(name),
                       suggestion(name, {kFunctions.begin(), kFunctions.end()}));
  }
  return fmt::format("cannot be read: {}", said);
}

Expected<SqliteEvaluator::Engine::Prepared> SqliteEvaluator::Engine::prepare(
    const std::string& expression) {
  const auto no = [](std::string reason) {
    return tl::unexpected(Refusal{"expression_invalid", std::move(reason), kHint, Scope::job});
  };
  if (auto problem = shape_problem(expression)) {
    return no(std::move(*problem));
  }
  const auto text = fmt::format("SELECT ({}\n) FROM site", expression);
  columns_read.clear();
  not_allowed.clear();
  looks_left = kLooksMax;
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  const int result =
      sqlite3_prepare_v3(connection.get(), text.data(), static_cast<int>(text.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, &tail);
  Prepared prepared_now{Statement(statement), std::move(columns_read)};
  if (result != SQLITE_OK || statement == nullptr) {
    return no(reason_of_failure());
  }
  if (tail != text.data() + text.size() || sqlite3_column_count(statement) != 1 ||
      sqlite3_stmt_readonly(statement) == 0) {
    return no("is not one expression");
  }
  return prepared_now;
}

Outcome SqliteEvaluator::Engine::evaluate(Prepared& expression, const SiteId& site,
                                          const SiteAdvert& advert) {
  shown.site = &site;
  shown.advert = &advert;
  shown.labels_read.clear();
  looks_left = kLooksMax;
  auto* statement = expression.statement.get();
  Outcome outcome{Outcome::Kind::error, 0};
  if (sqlite3_step(statement) == SQLITE_ROW) {
    switch (sqlite3_column_type(statement, 0)) {
      case SQLITE_NULL:
        outcome = {Outcome::Kind::null, 0};
        break;
      case SQLITE_INTEGER:
      case SQLITE_FLOAT:
        outcome = {Outcome::Kind::number, sqlite3_column_double(statement, 0)};
        break;
      default:
        outcome = {Outcome::Kind::other, 0};
    }
  }
  sqlite3_reset(statement);
  return outcome;
}

SqliteEvaluator::Engine::Prepared* SqliteEvaluator::Engine::keep_prepared(
    const std::string& expression) {
  const auto known = prepared.find(expression);
  if (known != prepared.end()) {
    return &known->second;
  }
  auto fresh = prepare(expression);
  if (!fresh) {
    return nullptr;
  }
  if (prepared.size() >= kExpressionsKept) {
    prepared.clear();
    memory.clear();
  }
  return &prepared.emplace(expression, *std::move(fresh)).first->second;
}

Answer SqliteEvaluator::Engine::answer(const std::string& expression, const SiteId& site,
                                       const SiteAdvert& advert) {
  auto& remembered = memory[site];
  if (remembered.advert != advert) {
    remembered.advert = advert;
    remembered.answers.clear();
  }
  if (const auto known = remembered.answers.find(expression); known != remembered.answers.end()) {
    return known->second;
  }
  auto* ready = keep_prepared(expression);
  const auto outcome = ready == nullptr ? Outcome{} : evaluate(*ready, site, advert);
  const auto result =
      outcome.kind == Outcome::Kind::number ? std::optional(outcome.number) : std::nullopt;
  memory[site].advert = advert;
  memory[site].answers.emplace(expression, result);
  return result;
}

SqliteEvaluator::SqliteEvaluator() : engine_(std::make_unique<Engine>()) {}
SqliteEvaluator::~SqliteEvaluator() = default;

std::optional<Refusal> SqliteEvaluator::check(const std::string& expression, Use use,
                                              std::string_view key) const {
  const auto refused = [&](std::string_view reason) {
    return Refusal{"expression_invalid",
                   fmt::format("{} {} {}", key, quote(expression.substr(0, 200)), reason), kHint,
                   Scope::job};
  };
  auto prepared = engine_->prepare(expression);
  if (!prepared) {
    return refused(prepared.error().message);
  }
  const auto site = SiteId::literal("example");
  const auto advert = example_advert();
  const auto outcome = engine_->evaluate(*prepared, site, advert);
  if (outcome.kind == Outcome::Kind::error) {
    return refused(
        engine_->looks_left < 0
            ? "takes too long"
            : fmt::format("cannot be evaluated: {}", sqlite3_errmsg(engine_->connection.get())));
  }
  if (outcome.kind == Outcome::Kind::other) {
    return refused(use == Use::require ? "gives a text, must be true or false"
                                       : "gives a text, must be a number");
  }
  return std::nullopt;
}

bool SqliteEvaluator::holds(const std::string& expression, const SiteId& site,
                            const SiteAdvert& advert) const {
  const auto answer = engine_->answer(expression, site, advert);
  return answer && *answer != 0;
}

double SqliteEvaluator::rank(const std::string& expression, const SiteId& site,
                             const SiteAdvert& advert) const {
  return engine_->answer(expression, site, advert)
      .value_or(-std::numeric_limits<double>::infinity());
}

std::string SqliteEvaluator::seen(const std::string& expression, const SiteId& site,
                                  const SiteAdvert& advert) const {
  auto* prepared = engine_->keep_prepared(expression);
  if (prepared == nullptr) {
    return {};
  }
  (void)engine_->evaluate(*prepared, site, advert);
  std::vector<std::string> values;
  for (const auto& column : prepared->columns) {
    if (column.of_site) {
      values.push_back(fmt::format("{} = {}", column.name, site_value(site, advert, column.name)));
    }
  }
  for (const auto& key : engine_->shown.labels_read) {
    const auto found = advert.labels.find(key);
    values.push_back(fmt::format("label({}) = {}", sql_text(key),
                                 found == advert.labels.end() ? "NULL" : sql_text(found->second)));
  }
  const bool reads_datasets = std::any_of(prepared->columns.begin(), prepared->columns.end(),
                                          [](const Column& column) { return !column.of_site; });
  for (std::size_t i = 0; reads_datasets && i < advert.datasets.size(); ++i) {
    if (i == kDatasetsNamedMax) {
      values.push_back(fmt::format("{} more datasets", advert.datasets.size() - i));
      break;
    }
    values.push_back(describe(advert.datasets[i], prepared->columns));
  }
  return fmt::format("{}", fmt::join(values, ", "));
}

}  // namespace entente::broker
