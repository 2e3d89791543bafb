#include "common/crypto/digest.h"

#include <gtest/gtest.h>

#include <string>

#include "common/crypto/random.h"

namespace entente {
namespace {

// NIST FIPS 180-2, appendix B.1 and B.2.
TEST(Sha256, AgreesWithTheStandardsExamples) {
  EXPECT_EQ(sha256("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, DoesNotDependOnHowTheBytesAreCut) {
  Sha256 pieces;
  pieces.update("a");
  pieces.update("");
  pieces.update("bc");
  EXPECT_EQ(pieces.finish(), sha256("abc"));
}

TEST(Random, GivesAsManyLowerCaseHexDigitsAsAsked) {
  const std::string hex = random_hex(16);
  EXPECT_EQ(hex.size(), 32U);
  EXPECT_EQ(hex.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(hex, random_hex(16));
  EXPECT_NE(random_u64(), random_u64());
}

}  // namespace
}  // namespace entente
