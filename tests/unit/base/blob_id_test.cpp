#include "common/base/blob_id.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

// SHA-256 of the empty string, FIPS 180-4.
constexpr const char* kHex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(BlobId, HexIsReadBack) {
  const auto id = BlobId::parse(kHex);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->bytes[0], 0xe3);
  EXPECT_EQ(id->bytes[31], 0x55);
  EXPECT_EQ(id->hex(), kHex);
  EXPECT_EQ(id->short_hex(), "e3b0c44298fc");
}

TEST(BlobId, RefusesAnythingButSixtyFourLowerCaseHexDigits) {
  std::string upper = kHex;
  upper[0] = 'E';
  std::string slash = kHex;
  slash[10] = '/';
  std::string with_nul = kHex;
  with_nul[63] = '\0';
  for (const auto& text :
       {std::string(), std::string(kHex, 63), kHex + std::string("0"), upper, slash, with_nul}) {
    EXPECT_FALSE(BlobId::parse(text)) << text;
  }
}

}  // namespace
}  // namespace entente
