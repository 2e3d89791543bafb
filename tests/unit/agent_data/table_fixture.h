// A small table of patients as a CSV file, with the dataset that is made from it.
#pragma once

#include <string>
#include <string_view>

#include "tests/unit/agent_data/data_folder.h"

namespace entente::agent {

class TableFolder : public DataFolder {
 protected:
  // Two numbers and a class.
  static constexpr std::string_view kPatients =
      "age,weight,outcome\n"
      "30,60.5,well\n"
      "50,70,ill\n"
      "70,90,ill\n";

  [[nodiscard]] DatasetConfig patients(std::string_view csv) const {
    DatasetConfig config;
    config.name = "patients";
    config.source = CsvFile{write("patients.csv", csv)};
    config.table.features = {"age", "weight"};
    config.table.label = "outcome";
    config.class_names = {"well", "ill"};
    return config;
  }
};

}  // namespace entente::agent
