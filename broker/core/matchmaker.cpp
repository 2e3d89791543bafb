#include "broker/core/matchmaker.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "common/base/nearest.h"
#include "common/domain/layers.h"
#include "common/domain/losses.h"

namespace entente::broker {
namespace {

// What a rule may look at beside the site.
struct Wish {
  const JobSpec& spec;
  const Evaluator& evaluator;
};

struct Rule {
  bool (*holds)(const Site& site, const Wish& wish);
  std::string (*sentence)(const Site& site, const Wish& wish);
};

const DatasetAdvert* dataset_of(const Site& site, const JobSpec& spec) {
  return site.row.advert.find(spec.train.dataset);
}

const SiteAdvert& advert_of(const Site& site) { return site.row.advert; }

// Slots share the site's memory; one that is not said is none.
std::uint64_t memory_of_a_slot(const Site& site) {
  const auto& advert = advert_of(site);
  return advert.slots == 0 ? 0 : advert.resources.memory_bytes / advert.slots;
}

std::string in_gigabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

// The length of the model's flat output.
std::int64_t outputs(const JobSpec& spec) {
  const auto model = resolve_model(spec.model);
  return model && model->output.size() == 1 ? model->output[0] : 0;
}

std::int64_t classes_told_apart(const JobSpec& spec) {
  return classes_of(spec.train.loss, outputs(spec));
}

Target target_of(const DatasetAdvert& dataset) {
  return dataset.targets == 0 ? Target::its_class : Target::numbers;
}

constexpr Rule kIsNotExcluded{
    [](const Site& site, const Wish& wish) {
      const auto& exclude = wish.spec.sites.exclude;
      return std::find(exclude.begin(), exclude.end(), site.row.site) == exclude.end();
    },
    [](const Site&, const Wish&) { return std::string("is in sites.exclude"); }};

constexpr Rule kIsWithinMandatoryWhenFull{
    [](const Site& site, const Wish& wish) {
      const auto& sites = wish.spec.sites;
      return sites.max == 0 || sites.mandatory.size() < sites.max ||
             std::find(sites.mandatory.begin(), sites.mandatory.end(), site.row.site) !=
                 sites.mandatory.end();
    },
    [](const Site&, const Wish& wish) {
      return fmt::format("the {} mandatory sites are all that sites.max allows",
                         wish.spec.sites.max);
    }};

constexpr Rule kHasDataset{
    [](const Site& site, const Wish& wish) { return dataset_of(site, wish.spec) != nullptr; },
    [](const Site&, const Wish& wish) {
      return fmt::format("has no dataset \"{}\"", wish.spec.train.dataset);
    }};

// Elsewhere a site without it is left out of evaluations. Here it would be a column without a cell.
constexpr Rule kHasWhatItJudgesBy{
    [](const Site& site, const Wish& wish) {
      return wish.spec.kind != JobKind::cross_evaluate || !wish.spec.evaluate ||
             advert_of(site).find(wish.spec.evaluate->dataset) != nullptr;
    },
    [](const Site&, const Wish& wish) {
      return fmt::format("has no dataset \"{}\" to judge the models by",
                         wish.spec.evaluate->dataset);
    }};

constexpr Rule kExamplesFitModel{
    [](const Site& site, const Wish& wish) {
      return dataset_of(site, wish.spec)->example_shape == wish.spec.model.input;
    },
    [](const Site& site, const Wish& wish) {
      return fmt::format("needs examples of shape {}, has {}", to_string(wish.spec.model.input),
                         to_string(dataset_of(site, wish.spec)->example_shape));
    }};

constexpr Rule kTargetFitsLoss{
    [](const Site& site, const Wish& wish) {
      return learns(wish.spec.train.loss, target_of(*dataset_of(site, wish.spec)));
    },
    [](const Site& site, const Wish& wish) {
      const bool has_classes = target_of(*dataset_of(site, wish.spec)) == Target::its_class;
      return fmt::format("has {} for {}, which the loss {} does not learn",
                         has_classes ? "classes" : "numbers", wish.spec.train.dataset,
                         to_string(wish.spec.train.loss));
    }};

constexpr Rule kClassesFitModel{
    [](const Site& site, const Wish& wish) {
      const auto& dataset = *dataset_of(site, wish.spec);
      return target_of(dataset) == Target::numbers ||
             dataset.classes <= classes_told_apart(wish.spec);
    },
    [](const Site& site, const Wish& wish) {
      return fmt::format("needs at most {} classes (the model's outputs), has {}",
                         classes_told_apart(wish.spec), dataset_of(site, wish.spec)->classes);
    }};

constexpr Rule kTargetsFitModel{[](const Site& site, const Wish& wish) {
                                  const auto targets = dataset_of(site, wish.spec)->targets;
                                  return targets == 0 || targets == outputs(wish.spec);
                                },
                                [](const Site& site, const Wish& wish) {
                                  return fmt::format(
                                      "needs {} numbers to predict (the model's outputs), has {}",
                                      outputs(wish.spec), dataset_of(site, wish.spec)->targets);
                                }};

constexpr Rule kHasSamples{
    [](const Site& site, const Wish& wish) {
      return dataset_of(site, wish.spec)->examples >= wish.spec.sites.samples_min;
    },
    [](const Site& site, const Wish& wish) {
      return fmt::format("needs {} samples of {}, has {}", wish.spec.sites.samples_min,
                         wish.spec.train.dataset, dataset_of(site, wish.spec)->examples);
    }};

constexpr Rule kHasMemory{[](const Site& site, const Wish& wish) {
                            return memory_of_a_slot(site) >= wish.spec.resources.memory_bytes;
                          },
                          [](const Site& site, const Wish& wish) {
                            return fmt::format(
                                "needs {} of memory for a task, has {} in each of {} slots",
                                in_gigabytes(wish.spec.resources.memory_bytes),
                                in_gigabytes(memory_of_a_slot(site)), advert_of(site).slots);
                          }};

constexpr Rule kHasThreads{[](const Site& site, const Wish& wish) {
                             return advert_of(site).threads_per_slot >= wish.spec.resources.threads;
                           },
                           [](const Site& site, const Wish& wish) {
                             return fmt::format("needs {} threads for a task, has {} in a slot",
                                                wish.spec.resources.threads,
                                                advert_of(site).threads_per_slot);
                           }};

constexpr Rule kHasGpus{[](const Site& site, const Wish& wish) {
                          return advert_of(site).resources.gpus >= wish.spec.resources.gpus;
                        },
                        [](const Site& site, const Wish& wish) {
                          return fmt::format("needs {} GPUs, has {}", wish.spec.resources.gpus,
                                             advert_of(site).resources.gpus);
                        }};

constexpr Rule kMeetsRequirement{
    [](const Site& site, const Wish& wish) {
      const auto& require = wish.spec.sites.require;
      return require.empty() || wish.evaluator.holds(require, site.row.site, advert_of(site));
    },
    [](const Site& site, const Wish& wish) {
      const auto& require = wish.spec.sites.require;
      const auto seen = wish.evaluator.seen(require, site.row.site, advert_of(site));
      return seen.empty() ? fmt::format("requires {}", require)
                          : fmt::format("requires {}, has {}", require, seen);
    }};

constexpr std::array kRules{kIsNotExcluded, kIsWithinMandatoryWhenFull,
                            kHasDataset,    kHasWhatItJudgesBy,
                            kHasMemory,     kHasThreads,
                            kHasGpus,       kMeetsRequirement};
// Of the dataset, which the site has; and of how it fits the job's model, if there is one.
constexpr std::array kDatasetRules{kHasSamples};
constexpr std::array kModelRules{kExamplesFitModel, kTargetFitsLoss, kClassesFitModel,
                                 kTargetsFitModel};

template <class Rules>
void object_by(const Rules& rules, const Site& site, const Wish& wish,
               std::vector<std::string>& objections) {
  for (const auto& rule : rules) {
    if (!rule.holds(site, wish)) {
      objections.push_back(rule.sentence(site, wish));
    }
  }
}

std::optional<Refusal> check_expressions(const SiteSelection& sites, const Evaluator& evaluator) {
  using Use = Evaluator::Use;
  if (!sites.require.empty()) {
    if (auto problem = evaluator.check(sites.require, Use::require, "sites.require")) {
      return problem;
    }
  }
  return sites.prefer.empty() ? std::nullopt
                              : evaluator.check(sites.prefer, Use::prefer, "sites.prefer");
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         std::string otherwise) {
  const auto near = nearest(word, candidates);
  return near ? fmt::format("did you mean \"{}\"?", *near) : std::move(otherwise);
}

std::optional<Refusal> check_site_names(const JobSpec& spec, const std::map<SiteId, Site>& sites) {
  std::vector<std::string> names;
  for (const auto& [id, site] : sites) {
    names.push_back(id.str());
  }
  for (const auto* list : {&spec.sites.mandatory, &spec.sites.exclude}) {
    for (const auto& id : *list) {
      if (!sites.contains(id)) {
        return Refusal{"site_unknown",
                       fmt::format("no site \"{}\" has ever joined this consortium", id.str()),
                       did_you_mean(id.str(), names, "list the sites with: entente site list")};
      }
    }
  }
  return std::nullopt;
}

std::optional<Refusal> check_dataset_name(const std::string& dataset, std::string_view key,
                                          const std::map<SiteId, Site>& sites) {
  std::set<std::string> names;
  for (const auto& [id, site] : sites) {
    for (const auto& advert : site.row.advert.datasets) {
      names.insert(advert.name);
    }
  }
  if (names.contains(dataset)) {
    return std::nullopt;
  }
  return Refusal{"dataset_unknown",
                 fmt::format("no site offers the dataset \"{}\" ({})", dataset, key),
                 did_you_mean(dataset, {names.begin(), names.end()},
                              "list the datasets with: entente dataset list")};
}

}  // namespace

Match match(const JobSpec& spec, const State& state) {
  Match result;
  for (const auto& [id, site] : state.sites) {
    if (auto failed = objections(spec, site, *state.evaluator); !failed.empty()) {
      result.excluded.push_back({id, std::move(failed.front())});
    } else {
      result.eligible.push_back(id);
    }
  }
  if (!spec.sites.prefer.empty()) {
    sort_by_preference(result.eligible, spec.sites.prefer, state);
  }
  const auto& mandatory = spec.sites.mandatory;
  std::stable_partition(
      result.eligible.begin(), result.eligible.end(), [&mandatory](const SiteId& id) {
        return std::find(mandatory.begin(), mandatory.end(), id) != mandatory.end();
      });
  return result;
}

std::vector<std::string> objections(const JobSpec& spec, const Site& site,
                                    const Evaluator& evaluator) {
  const Wish wish{spec, evaluator};
  std::vector<std::string> failed;
  object_by(kRules, site, wish, failed);
  if (dataset_of(site, spec) == nullptr) {
    return failed;
  }
  if (has_model(spec.kind)) {
    object_by(kModelRules, site, wish, failed);
  }
  object_by(kDatasetRules, site, wish, failed);
  return failed;
}

bool fits(const JobSpec& spec, const Site& site, const Evaluator& evaluator) {
  const Wish wish{spec, evaluator};
  const auto holds = [&](const Rule& rule) { return rule.holds(site, wish); };
  return std::all_of(kRules.begin(), kRules.end(), holds) &&
         std::all_of(kDatasetRules.begin(), kDatasetRules.end(), holds) &&
         (!has_model(spec.kind) || std::all_of(kModelRules.begin(), kModelRules.end(), holds));
}

void sort_by_preference(std::vector<SiteId>& sites, const std::string& prefer, const State& state) {
  std::map<SiteId, double> ranks;
  for (const auto& id : sites) {
    ranks.emplace(id, state.evaluator->rank(prefer, id, advert_of(state.sites.at(id))));
  }
  std::stable_sort(sites.begin(), sites.end(), [&ranks](const SiteId& a, const SiteId& b) {
    return ranks.at(a) > ranks.at(b);
  });
}

std::optional<Refusal> find_impossibility(const JobSpec& spec, const State& state) {
  const auto& sites = state.sites;
  if (auto problem = check_expressions(spec.sites, *state.evaluator)) {
    return problem;
  }
  if (auto unknown = check_site_names(spec, sites)) {
    return unknown;
  }
  if (auto unknown = check_dataset_name(spec.train.dataset, dataset_key(spec.kind), sites)) {
    return unknown;
  }
  if (spec.evaluate) {
    if (auto unknown = check_dataset_name(spec.evaluate->dataset, "evaluate.dataset", sites)) {
      return unknown;
    }
  }
  const auto result = match(spec, state);
  if (result.eligible.empty()) {
    return Refusal{"no_site_fits",
                   "no site of this consortium can run the job\n" + describe(result.excluded),
                   "ask for less, or for what a site has: entente site list, entente dataset list"};
  }
  for (const auto& exclusion : result.excluded) {
    const auto& mandatory = spec.sites.mandatory;
    if (std::find(mandatory.begin(), mandatory.end(), exclusion.site) != mandatory.end()) {
      return Refusal{
          "site_unfit",
          fmt::format("mandatory site \"{}\" {}", exclusion.site.str(), exclusion.sentence),
          "take it out of sites.mandatory, or change what the job needs"};
    }
  }
  return std::nullopt;
}

std::string describe(const std::vector<Exclusion>& exclusions) {
  std::string text;
  for (const auto& exclusion : exclusions) {
    text += fmt::format("{}  excluded  {}: {}", text.empty() ? "" : "\n", exclusion.site.str(),
                        exclusion.sentence);
  }
  return text;
}

}  // namespace entente::broker
