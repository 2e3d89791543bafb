// Jobs that predict: one round, in which every site that holds a place computes what its model says
// of the inputs that the coordinator has brought. The outputs are merged like updates, over zeros:
// f(x) = sum w_i f_i(x), the job's version 1. Its version 0 is the model that the sites share.
#include <fmt/format.h>

#include "broker/core/kinds.h"
#include "common/base/figures.h"

namespace entente::broker {
namespace {

std::string describe(const Job& job, const std::vector<SiteId>& asked) {
  return fmt::format("predicting {} at {} sites", counted(job.spec().predict->examples, "row"),
                     asked.size());
}

}  // namespace

const KindRules kPredictKind{always<TaskKind::predict>,
                             false,
                             asks_all,
                             turnout_of_all,
                             all_in_turn,
                             describe,
                             merge_updates};

}  // namespace entente::broker
