#include "broker/core/matchmaker.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "common/base/nearest.h"
#include "common/domain/layers.h"

namespace entente::broker {
namespace {

struct Rule {
  bool (*holds)(const Site& site, const JobSpec& spec);
  std::string (*sentence)(const Site& site, const JobSpec& spec);
};

const DatasetAdvert* dataset_of(const Site& site, const JobSpec& spec) {
  return site.row.advert.find(spec.train.dataset);
}

// Classes that the model tells apart: the length of its flat output.
std::int64_t outputs(const JobSpec& spec) {
  const auto model = resolve_model(spec.model);
  return model && model->output.size() == 1 ? model->output[0] : 0;
}

constexpr Rule kIsNotExcluded{
    [](const Site& site, const JobSpec& spec) {
      const auto& exclude = spec.sites.exclude;
      return std::find(exclude.begin(), exclude.end(), site.row.site) == exclude.end();
    },
    [](const Site&, const JobSpec&) { return std::string("is in sites.exclude"); }};

constexpr Rule kIsWithinMandatoryWhenFull{
    [](const Site& site, const JobSpec& spec) {
      const auto& mandatory = spec.sites.mandatory;
      return spec.sites.max == 0 || mandatory.size() < spec.sites.max ||
             std::find(mandatory.begin(), mandatory.end(), site.row.site) != mandatory.end();
    },
    [](const Site&, const JobSpec& spec) {
      return fmt::format("the {} mandatory sites are all that sites.max allows", spec.sites.max);
    }};

constexpr Rule kHasDataset{
    [](const Site& site, const JobSpec& spec) { return dataset_of(site, spec) != nullptr; },
    [](const Site&, const JobSpec& spec) {
      return fmt::format("has no dataset \"{}\"", spec.train.dataset);
    }};

constexpr Rule kExamplesFitModel{
    [](const Site& site, const JobSpec& spec) {
      return dataset_of(site, spec)->example_shape == spec.model.input;
    },
    [](const Site& site, const JobSpec& spec) {
      return fmt::format("needs examples of shape {}, has {}", to_string(spec.model.input),
                         to_string(dataset_of(site, spec)->example_shape));
    }};

constexpr Rule kClassesFitModel{[](const Site& site, const JobSpec& spec) {
                                  return dataset_of(site, spec)->classes <= outputs(spec);
                                },
                                [](const Site& site, const JobSpec& spec) {
                                  return fmt::format(
                                      "needs at most {} classes (the model's outputs), has {}",
                                      outputs(spec), dataset_of(site, spec)->classes);
                                }};

constexpr std::array kRules{kIsNotExcluded, kIsWithinMandatoryWhenFull, kHasDataset};
// Of the dataset, which the site has.
constexpr std::array kDatasetRules{kExamplesFitModel, kClassesFitModel};

template <class Rules>
void object_by(const Rules& rules, const Site& site, const JobSpec& spec,
               std::vector<std::string>& objections) {
  for (const auto& rule : rules) {
    if (!rule.holds(site, spec)) {
      objections.push_back(rule.sentence(site, spec));
    }
  }
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

Match match(const JobSpec& spec, const std::map<SiteId, Site>& sites) {
  Match result;
  for (const auto& [id, site] : sites) {
    if (auto failed = objections(spec, site); !failed.empty()) {
      result.excluded.push_back({id, std::move(failed.front())});
    } else {
      result.eligible.push_back(id);
    }
  }
  const auto& mandatory = spec.sites.mandatory;
  std::stable_partition(
      result.eligible.begin(), result.eligible.end(), [&mandatory](const SiteId& id) {
        return std::find(mandatory.begin(), mandatory.end(), id) != mandatory.end();
      });
  return result;
}

std::vector<std::string> objections(const JobSpec& spec, const Site& site) {
  std::vector<std::string> failed;
  object_by(kRules, site, spec, failed);
  if (dataset_of(site, spec) != nullptr) {
    object_by(kDatasetRules, site, spec, failed);
  }
  return failed;
}

bool fits(const JobSpec& spec, const Site& site) {
  const auto holds = [&](const Rule& rule) { return rule.holds(site, spec); };
  return std::all_of(kRules.begin(), kRules.end(), holds) &&
         std::all_of(kDatasetRules.begin(), kDatasetRules.end(), holds);
}

std::optional<Refusal> find_impossibility(const JobSpec& spec,
                                          const std::map<SiteId, Site>& sites) {
  if (auto unknown = check_site_names(spec, sites)) {
    return unknown;
  }
  if (auto unknown = check_dataset_name(spec.train.dataset, "train.dataset", sites)) {
    return unknown;
  }
  if (spec.evaluate) {
    if (auto unknown = check_dataset_name(spec.evaluate->dataset, "evaluate.dataset", sites)) {
      return unknown;
    }
  }
  const auto result = match(spec, sites);
  if (result.eligible.empty()) {
    return Refusal{
        "no_site_fits", "no site of this consortium can run the job\n" + describe(result.excluded),
        "change the model's input or the dataset to what a site has: entente dataset list"};
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
