#include "common/wire/job_codec.h"

#include "common/base/limits.h"
#include "common/crypto/digest.h"
#include "common/wire/framing.h"
#include "common/wire/job_wire.h"
#include "common/wire/session_wire.h"

namespace entente::wire {

Bytes encode_canonical(const JobSpec& spec) {
  return encode_flat<schema::JobSpec>([&](auto to) { write(spec, to); });
}

Expected<JobSpec> decode_job_spec(std::span<const std::byte> bytes) {
  return decode_flat<JobSpec, schema::JobSpec>(bytes, limits::kControlMessageBytesMax,
                                               [](auto spec) { return read(spec); });
}

Digest spec_digest(const JobSpec& spec) { return sha256(encode_canonical(spec)); }

Bytes encode(const SiteAdvert& advert) {
  return encode_flat<schema::SiteAdvert>([&](auto to) { write(advert, to); });
}

Expected<SiteAdvert> decode_site_advert(std::span<const std::byte> bytes) {
  return decode_flat<SiteAdvert, schema::SiteAdvert>(bytes, limits::kControlMessageBytesMax,
                                                     [](auto advert) { return read(advert); });
}

}  // namespace entente::wire
