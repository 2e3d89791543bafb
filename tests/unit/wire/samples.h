// One or more values of every message, with every field set to something that is not its default.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "common/domain/messages.h"

namespace entente::wire::samples {

[[nodiscard]] BlobId blob(unsigned char fill);
[[nodiscard]] Refusal refusal();
[[nodiscard]] SiteAdvert site_advert();
[[nodiscard]] JobSpec job_spec();
[[nodiscard]] TaskKey task_key();
[[nodiscard]] JobSummary job_summary();
[[nodiscard]] JobEvent job_event();
[[nodiscard]] JobSiteView job_site_view();
[[nodiscard]] JobView job_view();
[[nodiscard]] SiteView site_view();
[[nodiscard]] ModelView model_view();
[[nodiscard]] AuditEntry audit_entry();

// Every alternative of every union, each at least once.
[[nodiscard]] std::vector<msg::Control> control_messages();
[[nodiscard]] std::vector<msg::Data> data_messages();

// The same kinds with as little in them as is legal.
[[nodiscard]] std::vector<msg::Control> smallest_control_messages();
[[nodiscard]] std::vector<msg::Data> smallest_data_messages();

[[nodiscard]] inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace entente::wire::samples
