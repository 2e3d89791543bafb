// The code of a TaskFailed with which a site says that it knows of no promise to take part in the
// job, or no longer: the broker then asks it to join anew.
#pragma once

#include <string_view>

namespace entente::msg {

constexpr std::string_view kJobUnknown = "job_unknown";

}  // namespace entente::msg
