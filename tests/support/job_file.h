// The job that the tests run: a small model that learns the stripes of idx_data.h in two rounds.
#pragma once

#include <string>

namespace entente::integration {

struct JobFile {
  std::string name = "stripes";
  int rounds = 2;
  int sites_min = 2;
  std::string sites_extra;  // further lines of [sites]
  std::string input = "[1, 8, 8]";
  int hidden = 16;
  int classes = 3;
  std::string dataset = "stripes";
  double lr = 0.1;
  double momentum = 0.9;
  std::string train_extra;     // further lines of [train]
  std::string evaluate_extra;  // further lines of [evaluate]
  bool evaluates = true;
  std::string extra;  // further lines at the top

  [[nodiscard]] std::string toml() const;
  [[nodiscard]] std::string model_table() const;  // a part of it
};

}  // namespace entente::integration
