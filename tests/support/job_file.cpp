#include "tests/support/job_file.h"

#include <fmt/format.h>

namespace entente::integration {

std::string JobFile::toml() const {
  auto text = fmt::format(R"(name = "{}"
rounds = {}
{}
[sites]
min = {}
{}
{}
[train]
dataset = "{}"
local_epochs = 2
batch_size = 16
optimizer = {{ type = "sgd", lr = {}, momentum = {} }}
{}
)",
                          name, rounds, extra, sites_min, sites_extra, model_table(), dataset, lr,
                          momentum, train_extra);
  if (evaluates) {
    text += "\n[evaluate]\ndataset = \"stripes-test\"\nevery = 1\n" + evaluate_extra;
  }
  return text;
}

std::string JobFile::model_table() const {
  return fmt::format(R"([model]
input = {}
layers = [
  {{ type = "flatten" }},
  {{ type = "linear", name = "hidden", out_features = {} }},
  {{ type = "relu" }},
  {{ type = "linear", name = "classes", out_features = {} }},
]
)",
                     input, hidden, classes);
}

}  // namespace entente::integration
