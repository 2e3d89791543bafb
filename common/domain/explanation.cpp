#include "common/domain/explanation.h"

#include "common/domain/enum_names.h"

namespace entente {
namespace {

constexpr std::array kStandings{
    EnumName{SiteStanding::taking_part, "taking part"},
    EnumName{SiteStanding::asked, "asked"},
    EnumName{SiteStanding::free, "free"},
    EnumName{SiteStanding::busy, "busy"},
    EnumName{SiteStanding::away, "away"},
    EnumName{SiteStanding::declined, "declined"},
    EnumName{SiteStanding::excluded, "excluded"},
};
static_assert(in_order(kStandings));

}  // namespace

std::string_view to_string(SiteStanding standing) { return name_of(kStandings, standing); }

}  // namespace entente
