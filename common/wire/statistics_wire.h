// What a job asks to be counted, and by what it normalises its inputs: schemas/job.capnp.
#pragma once

#include <schemas/job.capnp.h>

#include "common/domain/statistics_spec.h"

namespace entente::wire {

void write(const Normalisation& normalise, schema::Normalisation::Builder to);
[[nodiscard]] Normalisation read(schema::Normalisation::Reader from);

void write(const StatisticsSpec& statistics, schema::StatisticsSpec::Builder to);
[[nodiscard]] StatisticsSpec read(schema::StatisticsSpec::Reader from);

}  // namespace entente::wire
