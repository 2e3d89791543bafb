// Algorithms for unequal data between real processes: what stays at a site survives its death and
// the broker's, and is never sent.
#include <gmock/gmock.h>

#include <algorithm>
#include <ostream>

#include "common/config/job_file.h"
#include "common/domain/site_tensors.h"
#include "common/tensors/safetensors.h"
#include "tests/support/consortium.h"
#include "tests/support/killed_job.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;

JobFile job(const std::string& train, const std::string& extra = {}) {
  JobFile file;
  file.rounds = 4;
  file.momentum = 0;
  file.lr = 0.05;
  file.train_extra = train;
  file.extra = "seed = 5\n" + extra;
  return file;
}

struct Algorithm {
  const char* name;
  JobFile file;
};

void PrintTo(const Algorithm& algorithm, std::ostream* out) { *out << algorithm.name; }

std::vector<Algorithm> algorithms() {
  auto ditto = job("personal = { lambda = 0.1, local_epochs = 1 }");
  ditto.evaluate_extra = "personal = true\n";
  return {{"Scaffold", job("", "strategy.kind = \"scaffold\"\n")},
          {"FedRep", job("private = [\"classes.*\"]\nprivate_epochs = 1")},
          {"Ditto", ditto}};
}

class Algorithms : public testing::Test {
 protected:
  Algorithms() {
    for (const auto* site : {"north", "south"}) {
      consortium_.add_site(site);
    }
    consortium_.wait_for_sites(2);
  }

  Consortium consortium_;
};

class EachAlgorithm : public Algorithms, public testing::WithParamInterface<Algorithm> {};

// In training, and with a finished update that cannot leave: what the site keeps is neither lost
// nor used twice.
TEST_P(EachAlgorithm, GivesTheSameModelWhenAgentAndBrokerAreKilled) {
  const auto& file = GetParam().file;
  const auto first = consortium_.complete(file);
  const auto undisturbed = consortium_.model_hash(first);

  const auto id = end_though_killed(consortium_, file);
  EXPECT_EQ(consortium_.model_hash(id), undisturbed);
  const auto own = [&](const std::string& job) {
    const auto path = consortium_.site_folder("north") / "data/own" / (job + ".safetensors");
    return fs::exists(path) ? read_text(path) : std::string();
  };
  EXPECT_EQ(own(id), own(first));
  EXPECT_EQ(own(id).empty(), std::string(GetParam().name) == "Scaffold")
      << "of the others the institution keeps tensors";
}

INSTANTIATE_TEST_SUITE_P(Of, EachAlgorithm, testing::ValuesIn(algorithms()),
                         [](const auto& algorithm) { return std::string(algorithm.param.name); });

// The broker's model has the head that it began with; the site has its own, also after the job, and
// reads its stripes with it.
TEST_F(Algorithms, WithAPrivateHeadLeaveItAtItsSiteAndEvaluateWithIt) {
  const auto file = job("private = [\"classes.*\"]");
  const auto spec = parse_job_file(file.toml(), "job", {}).value();
  const auto layout = resolve_model(spec.model)->layout;
  const auto id = consortium_.complete(file);
  const auto values = [&](const std::string& version) {
    const auto path = consortium_.folder() / "model.safetensors";
    (void)consortium_.ask({"model", "pull", version, "-o", path.string()});
    const auto tensors = TensorFile::open(path).value();
    const auto flat = tensors.flat(layout).value();
    return std::vector<float>(flat.begin(), flat.end());
  };
  const auto initial = values(id + "@0");
  const auto last = values(id);
  const auto head = static_cast<std::ptrdiff_t>(shared_layout(spec.train, layout).elements());
  EXPECT_TRUE(std::equal(initial.begin() + head, initial.end(), last.begin() + head));
  EXPECT_FALSE(std::equal(initial.begin(), initial.begin() + head, last.begin()));
  const auto own =
      TensorFile::open(consortium_.site_folder("north") / "data/own" / (id + ".safetensors"));
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_TRUE(own->check_layout(site_layout(spec, layout)));
  const auto shown = consortium_.ask({"job", "show", id});
  EXPECT_GT(shown["rounds_done"].back()["evaluate_metrics"]["accuracy"], 0.8);
}

}  // namespace
}  // namespace entente::integration
