#include "common/domain/job_view.h"

#include "common/domain/enum_names.h"

namespace entente {
namespace {

constexpr std::array kJobEventKinds{
    EnumName{JobEventKind::submitted, "submitted"},
    EnumName{JobEventKind::site_accepted, "site_accepted"},
    EnumName{JobEventKind::site_declined, "site_declined"},
    EnumName{JobEventKind::started, "started"},
    EnumName{JobEventKind::round_started, "round_started"},
    EnumName{JobEventKind::update_accepted, "update_accepted"},
    EnumName{JobEventKind::update_refused, "update_refused"},
    EnumName{JobEventKind::task_failed, "task_failed"},
    EnumName{JobEventKind::task_lost, "task_lost"},
    EnumName{JobEventKind::round_merged, "round_merged"},
    EnumName{JobEventKind::evaluated, "evaluated"},
    EnumName{JobEventKind::completed, "completed"},
    EnumName{JobEventKind::failed, "failed"},
    EnumName{JobEventKind::aborted, "aborted"},
    EnumName{JobEventKind::site_replaced, "site_replaced"},
    EnumName{JobEventKind::site_returned, "site_returned"},
    EnumName{JobEventKind::site_draining, "site_draining"},
    EnumName{JobEventKind::site_waits, "site_waits"},
    EnumName{JobEventKind::paused, "paused"},
    EnumName{JobEventKind::resumed, "resumed"},
    EnumName{JobEventKind::queued, "queued"},
    EnumName{JobEventKind::initialized, "initialized"},
};
static_assert(in_order(kJobEventKinds));

}  // namespace

std::string_view to_string(JobEventKind kind) { return name_of(kJobEventKinds, kind); }

std::optional<JobEventKind> parse_job_event_kind(std::string_view text) {
  return value_of(kJobEventKinds, text);
}

}  // namespace entente
