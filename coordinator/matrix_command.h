// What a job of the kind "cross_evaluate" has found, as a table or as JSON: a row for each site's
// model, a column for each site's data.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/job_view.h"

namespace entente::cli {

struct MatrixRow {
  SiteId site;
  std::optional<RoundView> model;  // none: it has sent none
};

// A row for each site that has a model or a column, by name.
struct Matrix {
  std::string metric;
  std::vector<std::string> metrics;  // that there are
  std::vector<MatrixRow> rows;
};

// By accuracy or, where there is none, by loss, unless `metric` says otherwise. Refuses with
// "matrix_unknown" a job of another kind or one that has not judged a model yet, with
// "metric_unknown" a metric that no cell has.
[[nodiscard]] Expected<Matrix> matrix_of(const JobView& job, const std::string& metric);

// Lines of at most `width` characters, if there is a limit: then the columns are numbered where
// names do not fit, and part ways where numbers do not either.
[[nodiscard]] std::string matrix_text(const JobView& job, const Matrix& matrix,
                                      std::optional<std::size_t> width);

// {"metric": "accuracy", "sites": ["east", ...], "matrix": [[0.91, null], ...],
//  "models": [{"site": "east", "version": 1, "at_sites": {...}, ...}]}, both in the order of sites
[[nodiscard]] nlohmann::json matrix_json(const JobView& job, const Matrix& matrix);

// Of the terminal that standard output is; nothing when it is none.
[[nodiscard]] std::optional<std::size_t> terminal_width();

}  // namespace entente::cli
