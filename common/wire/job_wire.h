// Job specs and offers, from and to schemas/job.capnp.
#pragma once

#include <schemas/job.capnp.h>

#include "common/domain/job_spec.h"
#include "common/domain/messages.h"

namespace entente::wire {

void write(const JobSpec& spec, schema::JobSpec::Builder to);
void write(const msg::JobOffer& offer, schema::JobOffer::Builder to);
void write(const msg::JobReply& reply, schema::JobReply::Builder to);
void write(const msg::JobClosed& closed, schema::JobClosed::Builder to);
void write(const msg::JobWaits& waits, schema::JobWaits::Builder to);
void write(const msg::JobPaused& paused, schema::JobPaused::Builder to);

// Legal as a message, which is less than validate() asks of a job (domain/job_spec.h).
[[nodiscard]] JobSpec read(schema::JobSpec::Reader from);
[[nodiscard]] msg::JobOffer read(schema::JobOffer::Reader from);
[[nodiscard]] msg::JobReply read(schema::JobReply::Reader from);
[[nodiscard]] msg::JobClosed read(schema::JobClosed::Reader from);
[[nodiscard]] msg::JobWaits read(schema::JobWaits::Reader from);
[[nodiscard]] msg::JobPaused read(schema::JobPaused::Reader from);

}  // namespace entente::wire
