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

bool each_word(std::string_view text, const std::function<bool(std::string_view)>& take) {
  std::string word;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && is_of_word(static_cast<unsigned char>(text[i]))) {
      word.push_back(lower(text[i]));
    } else if (!word.empty()) {
      if (!take(word)) {
        break;
      }
      word.clear();
    }
  }
  return true;
}

bool each_character(std::string_view text, const std::function<bool(std::string_view)>& take) {
  while (!text.empty()) {
    const auto bytes = character_bytes(text);
    if (bytes == 0) {
      return false;
    }
    if (!take(text.substr(0, bytes))) {
      break;
    }
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace

bool each_piece(TokensBy by, std::string_view text,
                const std::function<bool(std::string_view)>& take) {
  switch (by) {
    case TokensBy::words:
      return each_word(text, take);
    case TokensBy::characters:
      return each_character(text, take);
    case TokensBy::bytes:
      return true;
  }
  return true;
}

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
  if (spec_.by == TokensBy::bytes) {
    for (const char byte : text.substr(0, spec_.length)) {
      tokens.push_back(1 + static_cast<unsigned char>(byte));
    }
  } else {
    is_read = each_piece(spec_.by, text, [&](std::string_view piece) {
      tokens.push_back(token_of(piece));
      return tokens.size() < spec_.length;
    });
  }
  tokens.resize(spec_.length);
  return is_read;
}

std::int32_t Tokeniser::hashed(std::string_view token) const {
  Fingerprint fingerprint;
  fingerprint.add(token);
  return static_cast<std::int32_t>(1 + fingerprint.value() % (vocabulary_ - 1));
}

std::int32_t Tokeniser::token_of(std::string_view piece) const {
  if (alphabet_.empty()) {
    return hashed(piece);
  }
  const auto known = alphabet_.find(piece);
  return known == alphabet_.end() ? kUnknownCharacter : known->second;
}

}  // namespace entente::agent
