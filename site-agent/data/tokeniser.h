// Turns a text into tokens: whole numbers of which a model learns what they mean. The same text
// gives the same tokens at every site, without any of them telling another which words it has:
// words and characters are hashed, bytes and the characters of a declared alphabet have their
// number.
//
//   token 0           pads a text that is shorter than `length`
//   bytes             1 + the byte
//   alphabet          2 + the character's position in it; 1: another character
//   words, characters 1 + hash mod (vocabulary - 1)
//
// A word is a run of letters and digits; all characters beyond ASCII count as letters. ASCII
// capitals become small, so that a word is one token wherever it stands.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "site-agent/data/dataset_config.h"

namespace entente::agent {

// Hands on the words or the characters of a text, in their order, until `take` returns false. False
// for characters that are not UTF-8. Words are as described above; bytes are no pieces of a text.
bool each_piece(TokensBy by, std::string_view text,
                const std::function<bool(std::string_view)>& take);

class Tokeniser {
 public:
  explicit Tokeniser(const TokenSpec& spec);

  // All tokens are below it.
  [[nodiscard]] std::uint32_t vocabulary() const { return vocabulary_; }
  // The first `length` tokens of the text, padded. False for characters that are not UTF-8.
  [[nodiscard]] bool tokenise(std::string_view text, std::vector<std::int32_t>& tokens) const;

 private:
  [[nodiscard]] std::int32_t hashed(std::string_view token) const;
  [[nodiscard]] std::int32_t token_of(std::string_view piece) const;

  TokenSpec spec_;
  std::uint32_t vocabulary_;
  std::map<std::string, std::int32_t, std::less<>> alphabet_;  // token of each character
};

}  // namespace entente::agent
