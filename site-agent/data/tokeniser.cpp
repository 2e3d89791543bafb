#include "site-agent/data/tokeniser.h"

#include <algorithm>
#include <string>

#include "site-agent/data/holdout.h"

namespace entente::agent {
namespace {

constexpr std::int32_t kUnknownCharacter = 1;

// Bytes of the UTF-8 character at the beginning, or 0 where there is none (RFC 3629, section 4).
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto first = byte(0);
  const std::size_t bytes = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first >= 0x80 && (first < 0xc2 || first > 0xf4)) {
    return 0;
  }
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  const bool is_longer_than_needed =
      (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool is_no_character =
      (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return is_longer_than_needed || is_no_character ? 0 : bytes;
}

bool is_of_word(unsigned char byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
         (byte >= 'A' && byte <= 'Z');
}

char lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
}

}  // namespace

Tokeniser::Tokeniser(const TokenSpec& spec) : spec_(spec), vocabulary_(spec.vocabulary) {
  if (spec_.by == TokensBy::bytes) {
    vocabulary_ = 257;
  }
  if (!spec_.alphabet.empty()) {
    std::int32_t next = kUnknownCharacter + 1;
    for (std::string_view rest = spec_.alphabet; !rest.empty();) {
      const auto bytes = std::max<std::size_t>(1, character_bytes(rest));
      alphabet_.emplace(rest.substr(0, bytes), next++);
      rest.remove_prefix(bytes);
    }
    vocabulary_ = static_cast<std::uint32_t>(next);
  }
}

bool Tokeniser::tokenise(std::string_view text, std::vector<std::int32_t>& tokens) const {
  tokens.clear();
  bool is_read = true;
  switch (spec_.by) {
    case TokensBy::bytes:
      for (const char byte : text.substr(0, spec_.length)) {
        tokens.push_back(1 + static_cast<unsigned char>(byte));
      }
      break;
    case TokensBy::words:
      take_words(text, tokens);
      break;
    case TokensBy::characters:
      is_read = take_characters(text, tokens);
      break;
  }
  tokens.resize(spec_.length);
  return is_read;
}

std::int32_t Tokeniser::hashed(std::string_view token) const {
  Fingerprint fingerprint;
  fingerprint.add(token);
  return static_cast<std::int32_t>(1 + fingerprint.value() % (vocabulary_ - 1));
}

void Tokeniser::take_words(std::string_view text, std::vector<std::int32_t>& tokens) const {
  std::string word;
  for (std::size_t i = 0; i <= text.size() && tokens.size() < spec_.length; ++i) {
    if (i < text.size() && is_of_word(static_cast<unsigned char>(text[i]))) {
      word.push_back(lower(text[i]));
    } else if (!word.empty()) {
      tokens.push_back(hashed(word));
      word.clear();
    }
  }
}

bool Tokeniser::take_characters(std::string_view text, std::vector<std::int32_t>& tokens) const {
  while (!text.empty() && tokens.size() < spec_.length) {
    const auto bytes = character_bytes(text);
    if (bytes == 0) {
      return false;
    }
    const auto character = text.substr(0, bytes);
    const auto known = alphabet_.find(character);
    tokens.push_back(alphabet_.empty()          ? hashed(character)
                     : known == alphabet_.end() ? kUnknownCharacter
                                                : known->second);
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace entente::agent
