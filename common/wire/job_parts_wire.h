// Parts of a spec that few jobs have: the model that one starts from, how it trains asynchronously,
// what it predicts (schemas/job.capnp).
#pragma once

#include <schemas/job.capnp.h>

#include "common/domain/async_spec.h"
#include "common/domain/initial_model.h"
#include "common/domain/predict_spec.h"

namespace entente::wire {

void write(const InitialModel& init, schema::InitialModel::Builder to);
[[nodiscard]] InitialModel read(schema::InitialModel::Reader from);

void write(const AsyncSpec& async, schema::AsyncSpec::Builder to);
[[nodiscard]] AsyncSpec read(schema::AsyncSpec::Reader from);

void write(const PredictSpec& predict, schema::PredictSpec::Builder to);
[[nodiscard]] PredictSpec read(schema::PredictSpec::Reader from);

}  // namespace entente::wire
