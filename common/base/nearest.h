// What somebody may have meant: the nearest of a few known words, for error messages.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace entente {

// The candidate with the smallest edit distance (a swap of two neighbours counts as one edit), if
// that is at most a third of the word's length; the first of several equally near ones.
[[nodiscard]] std::optional<std::string> nearest(std::string_view word,
                                                 const std::vector<std::string>& candidates);

// `; did you mean "policy"?`, or `; known are a, b, c` when nothing is near: the end of a sentence
// about an unknown word.
[[nodiscard]] std::string suggestion(std::string_view word,
                                     const std::vector<std::string>& candidates);

}  // namespace entente
