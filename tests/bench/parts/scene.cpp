#include "tests/bench/parts/scene.h"

#include "common/runtime/system_clock.h"

namespace entente::bench {

Members::Members()
    : authority_(pki::Authority::create(folder_.path() / "ca", ConsortiumId::literal("bench"),
                                        system_now().unix_ms)
                     .value()),
      broker_(issue({Role::broker, "main", {{"localhost"}, {"127.0.0.1"}}})),
      site_(issue({Role::site, "north", {}})) {}

Kit Members::issue(const pki::Member& member) {
  const auto now = system_now().unix_ms;
  const auto folder = folder_.path() / member.name;
  pki::issue_kit(authority_, member, {}, pki::valid_for(now, pki::kLeafDays), folder).value();
  return load_kit(folder, now).value();
}

}  // namespace entente::bench
