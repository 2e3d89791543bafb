// Which sites a job wants, from and to schemas/job.capnp; a part of job_wire.h.
#pragma once

#include <schemas/job.capnp.h>

#include "common/domain/job_spec.h"

namespace entente::wire {

void write(const SiteSelection& sites, schema::SiteSelection::Builder to);
[[nodiscard]] SiteSelection read(schema::SiteSelection::Reader from);

}  // namespace entente::wire
