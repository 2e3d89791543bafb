// Bytes that no honest peer sends: they are refused, and nothing else happens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <schemas/envelope.capnp.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>

#include "common/base/limits.h"
#include "common/wire/checks.h"
#include "common/wire/control_codec.h"
#include "common/wire/framing.h"
#include "common/wire/job_codec.h"
#include "tests/unit/wire/samples.h"

namespace entente::wire {
namespace {

using samples::bytes_of;
using ::testing::HasSubstr;

// ENTENTE_TEST_SEED replays a run.
std::uint64_t seed() {
  const char* chosen = std::getenv("ENTENTE_TEST_SEED");
  return chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 20'240'229;
}

class HostileBytes : public ::testing::Test {
 protected:
  std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_);
  }

  std::mt19937_64 random_{seed()};
  ::testing::ScopedTrace trace_{__FILE__, __LINE__,
                                "replay with ENTENTE_TEST_SEED=" + std::to_string(seed())};
};

void expect_refusal(const Refusal& refusal) {
  EXPECT_TRUE(refusal.code == "message_invalid" || refusal.code == "message_unknown")
      << refusal.code;
  EXPECT_FALSE(refusal.message.empty());
}

// Whatever comes out of hostile bytes is legal, so it survives another trip.
void decode_everywhere(std::string_view bytes) {
  const auto input = bytes_of(bytes);
  if (const auto control = decode_control(input)) {
    EXPECT_EQ(decode_control(bytes_of(encode(*control))), *control);
  } else {
    expect_refusal(control.error());
  }
  if (const auto data = decode_data(input)) {
    EXPECT_EQ(decode_data(bytes_of(encode(*data))), *data);
  } else {
    expect_refusal(data.error());
  }
}

void decode_stored(std::string_view bytes) {
  const auto input = bytes_of(bytes);
  if (const auto spec = decode_job_spec(input)) {
    EXPECT_EQ(decode_job_spec(bytes_of(encode_canonical(*spec))), *spec);
  } else {
    expect_refusal(spec.error());
  }
  if (const auto advert = decode_site_advert(input)) {
    EXPECT_EQ(decode_site_advert(bytes_of(encode(*advert))), *advert);
  } else {
    expect_refusal(advert.error());
  }
}

std::vector<Bytes> valid_messages() {
  std::vector<Bytes> all;
  for (const auto& message : samples::control_messages()) {
    all.push_back(encode(message));
  }
  for (const auto& message : samples::data_messages()) {
    all.push_back(encode(message));
  }
  return all;
}

TEST_F(HostileBytes, RandomGarbageIsRefused) {
  for (int i = 0; i < 30'000; ++i) {
    Bytes garbage(below(256), '\0');
    for (char& byte : garbage) {
      // Small numbers make pointers that lead somewhere.
      byte = static_cast<char>(below(4) == 0 ? below(256) : below(4));
    }
    if (below(2) == 0 && garbage.size() >= 8) {
      const std::uint32_t table[] = {0, static_cast<std::uint32_t>(garbage.size() / 8 - 1)};
      std::memcpy(garbage.data(), table, sizeof table);
      garbage.resize(garbage.size() / 8 * 8);
    }
    decode_everywhere(garbage);
    decode_stored(garbage);
  }
}

TEST_F(HostileBytes, FlippedBitsAreRefusedOrMeanSomethingLegal) {
  const auto messages = valid_messages();
  for (int i = 0; i < 40'000; ++i) {
    Bytes bytes = messages[below(messages.size())];
    for (auto flips = 1 + below(4); flips > 0; --flips) {
      bytes[below(bytes.size())] ^= static_cast<char>(1U << below(8));
    }
    decode_everywhere(bytes);
  }
}

TEST_F(HostileBytes, FlippedBitsOfStoredFormsAreRefusedOrMeanSomethingLegal) {
  const Bytes forms[] = {encode_canonical(samples::job_spec()), encode(samples::site_advert())};
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = forms[below(2)];
    for (auto flips = 1 + below(4); flips > 0; --flips) {
      bytes[below(bytes.size())] ^= static_cast<char>(1U << below(8));
    }
    decode_stored(bytes);
  }
}

TEST_F(HostileBytes, EveryTruncationIsRefused) {
  for (const auto& bytes : valid_messages()) {
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      const auto cut = bytes_of(std::string_view(bytes).substr(0, length));
      EXPECT_FALSE(decode_control(cut));
      EXPECT_FALSE(decode_data(cut));
    }
  }
}

TEST_F(HostileBytes, SplicedMessagesAreRefusedOrMeanSomethingLegal) {
  const auto messages = valid_messages();
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = messages[below(messages.size())];
    const Bytes& other = messages[below(messages.size())];
    const auto words = std::min(bytes.size(), other.size()) / 8;
    const auto from = below(words);
    const auto count = 1 + below(words - from);
    std::memcpy(bytes.data() + 8 * from, other.data() + 8 * from, 8 * count);
    decode_everywhere(bytes);
  }
}

TEST_F(HostileBytes, BytesAfterTheMessageAreRefused) {
  const Bytes bytes = encode(msg::Control(msg::Hello{})) + std::string(8, '\0');
  const auto decoded = decode_control(bytes_of(bytes));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, "message_invalid");
}

TEST_F(HostileBytes, AnOversizeMessageIsRefusedUnread) {
  const Bytes control(limits::kControlMessageBytesMax + 8, '\0');
  EXPECT_THAT(decode_control(bytes_of(control)).error().message, HasSubstr("more than 1048576"));
  const Bytes data(kDataEnvelopeBytesMax + 8, '\0');
  EXPECT_THAT(decode_data(bytes_of(data)).error().message, HasSubstr("more than 65536"));
  EXPECT_EQ(decode_job_spec(bytes_of(control)).error().code, "message_invalid");
}

TEST_F(HostileBytes, TooManySegmentsAreRefused) {
  Bytes bytes(1024, '\0');
  const std::uint32_t segments_less_one = kSegmentsMax;
  std::memcpy(bytes.data(), &segments_less_one, sizeof segments_less_one);
  EXPECT_THAT(decode_control(bytes_of(bytes)).error().message, HasSubstr("segments"));
}

// The envelope's only data is its discriminant: after the segment table and the root pointer.
Bytes with_kind(Bytes bytes, std::uint16_t kind) {
  std::memcpy(bytes.data() + 16, &kind, sizeof kind);
  return bytes;
}

TEST_F(HostileBytes, AKindOfANewerPeerIsUnknownNotInvalid) {
  const Bytes control = encode(msg::Control(msg::Hello{}));
  for (const std::uint16_t kind : {19, 999, 65535}) {
    const auto decoded = decode_control(bytes_of(with_kind(control, kind)));
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, "message_unknown");
    EXPECT_THAT(decoded.error().message, HasSubstr(std::to_string(kind)));
  }
  const auto data =
      decode_data(bytes_of(with_kind(encode(msg::Data(msg::BlobStored{})), std::uint16_t{12})));
  ASSERT_FALSE(data);
  EXPECT_EQ(data.error().code, "message_unknown");

  EXPECT_EQ(decode_control(bytes_of(with_kind(control, 0))).error().code, "message_invalid");
  EXPECT_TRUE(decode_control(bytes_of(with_kind(control, 1)))) << "the patch is in place";
}

TEST_F(HostileBytes, ARequestOfANewerPeerIsUnknownNotInvalid) {
  const Bytes known = encode(msg::Control(msg::Request{7, msg::ListJobs{}}));
  // Segment table, root pointer, envelope's word and pointer, request's id: then its discriminant.
  constexpr std::size_t kAt = 8 + 8 + 8 + 8 + 8;
  std::uint16_t kind = 0;
  std::memcpy(&kind, known.data() + kAt, sizeof kind);
  ASSERT_EQ(kind, static_cast<std::uint16_t>(schema::Request::Body::LIST_JOBS));
  Bytes newer = known;
  kind = 99;
  std::memcpy(newer.data() + kAt, &kind, sizeof kind);
  const auto decoded = decode_control(bytes_of(newer));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, "message_unknown");
}

// A list of structs without a single word costs no bytes per element.
TEST_F(HostileBytes, AListOfNothingCannotGrow) {
  capnp::MallocMessageBuilder message;
  auto envelope = message.initRoot<schema::ControlEnvelope>();
  envelope.initReply().initBody().initJobs(1);
  Bytes bytes = framed_bytes(message);
  // Find the tag word of the list (one element: 1 << 2) and turn it into 2^28 elements of no size,
  // with a list pointer of no words.
  ASSERT_EQ(bytes.size() % 8, 0U);
  bool patched = false;
  for (std::size_t at = 8; at + 8 <= bytes.size() && !patched; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    const bool is_composite_list = (word & 3U) == 1 && ((word >> 32U) & 7U) == 7;
    if (is_composite_list) {
      const auto offset = static_cast<std::int32_t>(word & 0xffffffffU) >> 2;
      const std::uint64_t list = (word & 0xffffffffU) | (std::uint64_t{7} << 32U);
      std::memcpy(bytes.data() + at, &list, sizeof list);
      const std::uint64_t tag = std::uint64_t{1U << 28U} << 2U;
      std::memcpy(bytes.data() + at + 8 + 8 * static_cast<std::size_t>(offset), &tag, sizeof tag);
      patched = true;
    }
  }
  ASSERT_TRUE(patched);
  const auto decoded = decode_control(bytes_of(bytes));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, "message_invalid");
}

// Many pointers to one large object: a message of a few KiB that would read as megabytes.
TEST_F(HostileBytes, SharedObjectsCannotMultiply) {
  msg::Welcome welcome;
  welcome.capabilities.assign(kCapabilitiesMax, "c");
  welcome.capabilities[0].assign(kLabelBytesMax, 'c');
  Bytes bytes = encode(msg::Control(welcome));
  // The capabilities' pointers are consecutive words; lead each to the first one's target.
  std::uint64_t first = 0;
  std::size_t at = 0;
  for (std::size_t i = 8; i + 8 <= bytes.size() && at == 0; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    if ((word & 3U) == 1 && (word >> 32U) == ((kLabelBytesMax + 1) << 3U | 2U)) {
      first = word;
      at = i;
    }
  }
  ASSERT_NE(at, 0U);
  for (std::size_t i = 1; i < kCapabilitiesMax; ++i) {
    const std::uint64_t word = first - 4 * i;  // the offset is counted from the pointer's own end
    std::memcpy(bytes.data() + at + 8 * i, &word, sizeof word);
  }
  const auto decoded = decode_control(bytes_of(bytes));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, "message_invalid");
}

}  // namespace
}  // namespace entente::wire
