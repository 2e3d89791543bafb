// What coordinators see of jobs, sites and models, from and to schemas/coordinator.capnp.
#pragma once

#include <schemas/coordinator.capnp.h>

#include "common/domain/audit.h"
#include "common/domain/job_view.h"

namespace entente::wire {

void write(const JobEvent& event, schema::JobEvent::Builder to);
void write(const JobSummary& summary, schema::JobSummary::Builder to);
void write(const JobSiteView& site, schema::JobSiteView::Builder to);
void write(const JobView& job, schema::JobView::Builder to);
void write(const SiteView& site, schema::SiteView::Builder to);
void write(const ModelView& model, schema::ModelView::Builder to);
void write(const AuditEntry& entry, schema::AuditEntry::Builder to);

[[nodiscard]] JobEvent read(schema::JobEvent::Reader from);
[[nodiscard]] JobSummary read(schema::JobSummary::Reader from);
[[nodiscard]] JobSiteView read(schema::JobSiteView::Reader from);
[[nodiscard]] JobView read(schema::JobView::Reader from);
[[nodiscard]] SiteView read(schema::SiteView::Reader from);
[[nodiscard]] ModelView read(schema::ModelView::Reader from);
// Its texts are what was hashed, whatever they hold.
[[nodiscard]] AuditEntry read(schema::AuditEntry::Reader from);

}  // namespace entente::wire
