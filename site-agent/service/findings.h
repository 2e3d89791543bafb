// What an examination for the people of a site has found, line by line: of the whole site
// (doctor.h) or of a trainer (trainer_examination.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/refusal.h"

namespace entente::agent {

enum class Health : std::uint8_t { ok, warn, fail };

struct Finding {
  Health health = Health::ok;
  std::string check;    // "kit", "dataset tumours"
  std::string message;  // what was seen
  std::string hint;     // what to do; empty where nothing is
};

using Findings = std::vector<Finding>;

[[nodiscard]] Finding ok(std::string check, std::string message);
[[nodiscard]] Finding warn(std::string check, std::string message, std::string hint);
[[nodiscard]] Finding fail(std::string check, std::string message, std::string hint);
[[nodiscard]] Finding fail(std::string check, const Refusal& refusal);

[[nodiscard]] bool any_failed(const Findings& findings);

// A line for each finding, with its hint below, the checks' names padded to at least `width`; or
// JSON.
[[nodiscard]] std::string to_text(const Findings& findings, std::size_t width = 0);
[[nodiscard]] std::string to_json_text(const Findings& findings);

}  // namespace entente::agent
