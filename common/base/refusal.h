// A refusal: an expected "no" that somebody decides about, as opposed to a bug (check.h) or a
// broken disk (an exception).
//
// `code` is stable and meant for programs; `message` names the thing and the cause, `hint` the next
// step, both for people. `scope` says how far the refusal reaches: one site's fault never ends
// a job by itself, one job's fault never the broker.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace entente {

enum class Scope : std::uint8_t { task, site, job, broker };

struct Refusal {
  std::string code;     // snake_case, for example "dataset_unknown"
  std::string message;  // one sentence without a final full stop
  std::string hint;     // empty when there is nothing sensible to do next
  Scope scope = Scope::job;

  bool operator==(const Refusal&) const = default;
};

template <class T>
using Expected = tl::expected<T, Refusal>;

// Shorthand for returning a refusal from a function that returns Expected<T>.
[[nodiscard]] inline tl::unexpected<Refusal> refuse(std::string code, std::string message,
                                                    std::string hint = {},
                                                    Scope scope = Scope::job) {
  return tl::unexpected<Refusal>(
      Refusal{std::move(code), std::move(message), std::move(hint), scope});
}

}  // namespace entente
