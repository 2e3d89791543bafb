#include "common/domain/identity.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

TEST(Identity, UriIsReadBack) {
  const Identity identity{ConsortiumId::literal("lung.example"), Role::site, "north"};
  EXPECT_EQ(identity.uri(), "spiffe://lung.example/site/north");
  EXPECT_EQ(identity.path(), "site/north");
  EXPECT_EQ(Identity::parse_uri(identity.uri()), identity);
}

TEST(Identity, EveryRoleHasAWord) {
  for (const auto role :
       {Role::broker, Role::site, Role::coordinator, Role::operator_, Role::auditor}) {
    EXPECT_EQ(parse_role(to_string(role)), role);
  }
  EXPECT_EQ(to_string(Role::operator_), "operator");
  EXPECT_EQ(parse_role("operator_"), std::nullopt);
  EXPECT_EQ(parse_role("Site"), std::nullopt);
  EXPECT_EQ(parse_role(""), std::nullopt);
}

TEST(Identity, RefusesEveryOtherFormOfUri) {
  const std::string long_name(64, 'x');
  for (const std::string& uri : {
           std::string(),
           std::string("spiffe://"),
           std::string("spiffe://lung"),
           std::string("spiffe://lung/site"),
           std::string("spiffe://lung/site/"),
           std::string("spiffe:///site/north"),
           std::string("spiffe://lung//north"),
           std::string("spiffe://lung/site/north/"),
           std::string("spiffe://lung/site/north/extra"),
           std::string("spiffe://lung/site/north?x=1"),
           std::string("spiffe://lung/site/north#x"),
           std::string("spiffe://lung/site/n%6frth"),
           std::string("spiffe://lung/site/North"),
           std::string("spiffe://Lung/site/north"),
           std::string("spiffe://lung/Site/north"),
           std::string("SPIFFE://lung/site/north"),
           std::string("https://lung/site/north"),
           std::string(" spiffe://lung/site/north"),
           std::string("spiffe://lung/site/north "),
           std::string("spiffe://user@lung/site/north"),
           std::string("spiffe://lung:443/site/north"),
           std::string("spiffe://lung/root/north"),
           std::string("spiffe://lung/site/nor\0th", 25),
           std::string("spiffe://lung/site/north\0", 25),
           "spiffe://lung/site/" + long_name,
           "spiffe://" + long_name + "/site/north",
           "spiffe://lung/site/" + std::string(1 << 20, 'x'),
       }) {
    EXPECT_FALSE(Identity::parse_uri(uri)) << uri.substr(0, 100);
  }
  EXPECT_TRUE(Identity::parse_uri("spiffe://lung/site/north"));
}

}  // namespace
}  // namespace entente
