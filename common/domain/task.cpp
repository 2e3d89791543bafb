#include "common/domain/task.h"

#include "common/domain/enum_names.h"

namespace entente {
namespace {

constexpr std::array kTaskKinds{
    EnumName{TaskKind::initialize, "initialize"}, EnumName{TaskKind::train, "train"},
    EnumName{TaskKind::evaluate, "evaluate"},     EnumName{TaskKind::statistics, "statistics"},
    EnumName{TaskKind::predict, "predict"},
};
static_assert(in_order(kTaskKinds));

}  // namespace

std::string_view to_string(TaskKind kind) { return name_of(kTaskKinds, kind); }

std::optional<TaskKind> parse_task_kind(std::string_view text) {
  return value_of(kTaskKinds, text);
}

}  // namespace entente
