// Stored forms: what the broker's and the agent's databases keep as blobs, and the canonical form
// of a job's spec.
#pragma once

#include <span>

#include "common/base/blob_id.h"
#include "common/domain/job_spec.h"
#include "common/domain/site.h"
#include "common/wire/control_codec.h"

namespace entente::wire {

// Cap'n Proto's canonical encoding: equal specs give equal bytes, and fields that a later version
// adds leave them unchanged as long as they hold their defaults.
[[nodiscard]] Bytes encode_canonical(const JobSpec& spec);
[[nodiscard]] Expected<JobSpec> decode_job_spec(std::span<const std::byte> bytes);

// SHA-256 of the canonical form.
[[nodiscard]] Digest spec_digest(const JobSpec& spec);

[[nodiscard]] Bytes encode(const SiteAdvert& advert);
[[nodiscard]] Expected<SiteAdvert> decode_site_advert(std::span<const std::byte> bytes);

}  // namespace entente::wire
