#include "common/base/ids.h"

#include <algorithm>

#include "common/base/check.h"

namespace entente {
namespace {

constexpr std::size_t kNameBytesMax = 63;

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && is_letter_or_digit(text.front()) &&
         is_letter_or_digit(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
           return is_letter_or_digit(c) || c == '-' || c == '.';
         });
}

void check_name_literal(std::string_view text) { ENTENTE_CHECK(is_name(text)); }

}  // namespace entente
