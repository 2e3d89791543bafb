#include "common/tensors/safetensors.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "common/runtime/child_process.h"

namespace entente {
namespace {

namespace fs = std::filesystem;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

const TensorLayout kLayout{.tensors = {{.name = "fc.weight", .shape = {2, 3}},
                                       {.name = "scale", .shape = {}},
                                       {.name = "fc.bias", .shape = {3}}}};
const std::vector<float> kValues{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

std::string float_bytes(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A file as the format's page describes it, made without our writer.
std::string file_bytes(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

class SafetensorsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "entente-tensors-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    file_ = folder_ / "file";
  }
  void TearDown() override { fs::remove_all(folder_); }

  void put(const std::string& bytes) { std::ofstream(file_, std::ios::binary) << bytes; }
  void put(const std::string& header, const std::vector<float>& values) {
    put(file_bytes(header, float_bytes(values)));
  }
  std::string get(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  void write(const std::vector<float>& values, const TensorMetadata& metadata = {}) {
    TensorFileWriter writer(file_, kLayout, metadata);
    writer.append(values);
    EXPECT_EQ(writer.close(), fs::file_size(file_));
  }
  // The message of the refusal, or "accepted".
  std::string why_refused() {
    const auto opened = TensorFile::open(file_);
    if (opened) {
      return "accepted";
    }
    EXPECT_EQ(opened.error().code, "tensors_invalid");
    return opened.error().message;
  }

  fs::path folder_;
  fs::path file_;
};

TEST_F(SafetensorsTest, WritesHeaderAndDataAsTheFormatSays) {
  write(kValues, {{"b", "2"}, {"a", "\"1\""}});
  std::string header = R"({"__metadata__":{"a":"\"1\"","b":"2"},)"
                       R"("fc.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                       R"("scale":{"dtype":"F32","shape":[],"data_offsets":[24,28]},)"
                       R"("fc.bias":{"dtype":"F32","shape":[3],"data_offsets":[28,40]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(get(file_), file_bytes(header, float_bytes(kValues)));
}

TEST_F(SafetensorsTest, GivesEqualBytesHoweverTheValuesArrive) {
  write(kValues);
  const std::string whole = get(file_);
  TensorFileWriter writer(file_, kLayout, {});
  for (const float value : kValues) {
    writer.append(std::span(&value, 1));
  }
  writer.close();
  EXPECT_EQ(get(file_), whole);
}

TEST_F(SafetensorsTest, ReadsBackWhatItWrote) {
  write(kValues, {{"round", "3"}});
  const auto file = TensorFile::open(file_);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->layout(), kLayout);
  EXPECT_EQ(file->metadata(), (TensorMetadata{{"round", "3"}}));
  const auto flat = file->flat(kLayout);
  ASSERT_TRUE(flat) << flat.error().message;
  EXPECT_EQ(std::vector<float>(flat->begin(), flat->end()), kValues);
  EXPECT_EQ(file->data(1).size(), sizeof(float));
}

TEST_F(SafetensorsTest, CarriesMoreThanOneWriteBuffer) {
  const TensorLayout large{.tensors = {{.name = "w", .shape = {700, 1000}}}};
  std::vector<float> values(700'000);
  std::iota(values.begin(), values.end(), 0.0F);
  TensorFileWriter writer(file_, large, {});
  writer.append(std::span(values).first(300'001));
  writer.append(std::span(values).subspan(300'001));
  writer.close();
  const auto file = TensorFile::open(file_);
  ASSERT_TRUE(file) << file.error().message;
  const auto flat = file->flat(large);
  ASSERT_TRUE(flat);
  EXPECT_TRUE(std::equal(flat->begin(), flat->end(), values.begin(), values.end()));
}

TEST_F(SafetensorsTest, RemovesAFileThatWasNotClosed) {
  {
    TensorFileWriter writer(file_, kLayout, {});
    writer.append(kValues);
  }
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(SafetensorsTest, ThrowsWhenTheFolderIsMissing) {
  EXPECT_THROW(TensorFileWriter(folder_ / "no" / "file", kLayout, {}), std::system_error);
}

// What Python's library writes: keys sorted by name, offsets in another order, no padding.
constexpr const char* kForeignHeader =
    R"({"fc.bias":{"dtype":"F32","shape":[3],"data_offsets":[24,36]},)"
    R"("scale":{"shape":[],"dtype":"F32","data_offsets":[36,40]},)"
    R"("fc.weight":{"data_offsets":[0,24],"dtype":"F32","shape":[2,3]}})";

TEST_F(SafetensorsTest, AcceptsAnyOrderScalarsAndUnalignedData) {
  std::string header = kForeignHeader;
  header.append((8 - header.size() % 8) % 8 + 1, ' ');
  put(header, {1, 2, 3, 4, 5, 6, 8, 9, 10, 7});
  const auto file = TensorFile::open(file_);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->layout().tensors.size(), 3u);
  EXPECT_EQ(file->layout().tensors[1].name, "fc.bias");
  float scale = 0;
  std::memcpy(&scale, file->data(2).data(), sizeof scale);
  EXPECT_EQ(scale, 7);
  const auto unaligned = file->flat(file->layout());
  ASSERT_FALSE(unaligned);
  EXPECT_EQ(unaligned.error().code, "layout_mismatch");

  ASSERT_TRUE(rewrite_tensors(*file, kLayout, {}, folder_ / "ours"));
  write(kValues);
  EXPECT_EQ(get(folder_ / "ours"), get(file_));
}

TEST_F(SafetensorsTest, RewritesOnlyExactlyTheTensorsOfTheLayout) {
  write(kValues);
  const auto file = TensorFile::open(file_);
  ASSERT_TRUE(file);
  const auto refusal_for = [&](const TensorLayout& layout) {
    const auto result = rewrite_tensors(*file, layout, {}, folder_ / "ours");
    return result ? "accepted" : result.error().message;
  };
  TensorLayout fewer = kLayout;
  fewer.tensors.pop_back();
  EXPECT_NE(refusal_for(fewer).find("\"fc.bias\" of shape [3] is one too many"), std::string::npos);
  TensorLayout more = kLayout;
  more.tensors.push_back({.name = "extra", .shape = {1}});
  EXPECT_NE(refusal_for(more).find("\"extra\" of shape [1] is missing"), std::string::npos);
  TensorLayout turned = kLayout;
  turned.tensors[0].shape = {3, 2};
  EXPECT_NE(refusal_for(turned).find("[3, 2] was expected"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "ours"));
}

TEST_F(SafetensorsTest, AcceptsEmptyTensorsAndNoTensors) {
  put(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},)"
      R"("c":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      {1, 2});
  EXPECT_EQ(why_refused(), "accepted");
  put("{}", {});
  EXPECT_EQ(why_refused(), "accepted");
}

TEST_F(SafetensorsTest, NamesTheFirstDifferenceOfALayout) {
  write(kValues);
  const auto file = TensorFile::open(file_);
  ASSERT_TRUE(file);
  TensorLayout other = kLayout;
  other.tensors[2].shape = {1, 3};
  const auto refused = file->flat(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "layout_mismatch");
  EXPECT_EQ(refused.error().message,
            "tensor 3 is \"fc.bias\" of shape [3], expected \"fc.bias\" of shape [1, 3]");
}

std::string tensor(const std::string& members) { return "{\"t\":{" + members + "}}"; }

TEST_F(SafetensorsTest, RefusesHeadersThatTheFormatDoesNotHave) {
  const std::string good = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  put(tensor(good), {1});
  ASSERT_EQ(why_refused(), "accepted");

  const std::vector<std::pair<std::string, std::string>> bad{
      {"", "not a JSON object"},
      {" " + tensor(good), "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{", "not JSON"},
      {tensor(good) + "x", "not JSON"},
      {"{\"\xff\":{}}", "not JSON"},
      {"{\"t\":1}", "number where none belongs"},
      {"{\"t\":\"x\"}", "text where none belongs"},
      {"{\"t\":[]}", "list where none belongs"},
      {"{\"t\":null}", "null"},
      {"{\"t\":true}", "boolean"},
      {tensor(""), "no dtype"},
      {tensor(R"("dtype":"F32","shape":[1])"), "no dtype"},
      {tensor(good + R"(,"extra":1)"), "unknown key"},
      {tensor(good + R"(,"shape":[1])"), "twice"},
      {R"({"t":{)" + good + R"(},"t":{)" + good + "}}", "names \"t\" twice"},
      {tensor(R"("dtype":"F64","shape":[1],"data_offsets":[0,4])"), "only F32"},
      {tensor(R"("dtype":["F32"],"shape":[1],"data_offsets":[0,4])"), "list where none"},
      {tensor(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), "number where none"},
      {tensor(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), "list where none"},
      {tensor(R"("dtype":"F32","shape":[{}],"data_offsets":[0,4])"), "nested too deeply"},
      {tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "negative"},
      {tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), "fraction"},
      {tensor(R"("dtype":"F32","shape":["1"],"data_offsets":[0,4])"), "text where none"},
      {tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), "more than 8"},
      {tensor(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])"), "dimension"},
      {tensor(R"("dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4])"), "fraction"},
      {tensor(R"("dtype":"F32","shape":[1073741824,1073741824,16],"data_offsets":[0,0])"),
       "more elements"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), "no begin and end"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), "more than 2"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), "its shape needs 4"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,3])"), "its shape needs 4"},
      {tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), "its shape needs 8"},
      {tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "starts at byte 4"},
      {tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), "need 8 bytes of data"},
      {"{}", "need 0 bytes of data"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       "starts at byte 0"},
      {R"({"__metadata__":{"a":1}})", "number where none"},
      {R"({"__metadata__":{"a":{}}})", "nested too deeply"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", "twice"},
      {R"({"__metadata__":"text"})", "text where none"},
  };
  for (const auto& [header, reason] : bad) {
    put(header, {1});
    EXPECT_NE(why_refused().find(reason), std::string::npos) << header << "\n" << why_refused();
  }
}

TEST_F(SafetensorsTest, RefusesWhatWouldCostMemoryWithoutBound) {
  std::string deep(1 << 20, '[');
  put(R"({"t":{"shape":)" + deep, {});
  EXPECT_NE(why_refused(), "accepted");
  std::string metadata = R"({"__metadata__":{)";
  for (int i = 0; i < 2000; ++i) {
    metadata += '"' + std::to_string(i) + R"(":"",)";
  }
  put(metadata + R"("x":""}})", {});
  EXPECT_NE(why_refused().find("more than 1024 keys"), std::string::npos);
}

TEST_F(SafetensorsTest, RefusesEveryTruncation) {
  write(kValues);
  const std::string whole = get(file_);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    put(whole.substr(0, length));
    ASSERT_NE(why_refused(), "accepted") << "cut to " << length << " bytes";
  }
  put(whole + '\0');
  EXPECT_NE(why_refused(), "accepted");
}

TEST_F(SafetensorsTest, RefusesAHeaderLengthThatIsNotTrue) {
  for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{17} << 20, ~std::uint64_t{0},
                                     ~std::uint64_t{0} - 7, std::uint64_t{1} << 63}) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    put(bytes + "{}");
    EXPECT_NE(why_refused().find("header would have"), std::string::npos) << length;
  }
}

TEST_F(SafetensorsTest, RefusesWhatIsNoFile) {
  EXPECT_NE(why_refused(), "accepted");
  file_ = folder_;
  EXPECT_NE(why_refused(), "accepted");
  file_ = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  EXPECT_NE(why_refused().find("no regular file"), std::string::npos);
}

TEST_F(SafetensorsTest, CheckMeasuresTheNorm) {
  write(kValues);
  const auto check = check_tensors(file_, kLayout, 100);
  ASSERT_TRUE(check) << check.error().message;
  EXPECT_DOUBLE_EQ(check->l2_norm, std::sqrt(385.0));
  EXPECT_TRUE(check_tensors(file_, kLayout, std::sqrt(385.0)));
  EXPECT_EQ(check_tensors(file_, kLayout, 19).error().code, "norm_too_large");
  EXPECT_EQ(check_tensors(file_, kLayout, kNan).error().code, "norm_too_large");
}

TEST_F(SafetensorsTest, CheckMeasuresNormsThatAFloatCouldNotHold) {
  std::vector<float> values(kValues.size(), 3e38F);
  write(values);
  const auto check = check_tensors(file_, kLayout, 1e300);
  ASSERT_TRUE(check) << check.error().message;
  EXPECT_NEAR(check->l2_norm, 3e38 * std::sqrt(10.0), 1e32);
}

TEST_F(SafetensorsTest, CheckFindsASingleBadValueAnywhere) {
  for (std::size_t at = 0; at < kValues.size(); ++at) {
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      std::vector<float> values = kValues;
      values[at] = bad;
      write(values);
      const auto check = check_tensors(file_, kLayout, 1e300);
      ASSERT_FALSE(check) << "at " << at;
      EXPECT_EQ(check.error().code, "not_finite");
      const char* const name = at < 6 ? "fc.weight" : at == 6 ? "scale" : "fc.bias";
      EXPECT_NE(check.error().message.find(name), std::string::npos);
    }
  }
}

TEST_F(SafetensorsTest, CheckRefusesAnotherModelsTensors) {
  write(kValues);
  TensorLayout other = kLayout;
  other.tensors[0].name = "fc2.weight";
  EXPECT_EQ(check_tensors(file_, other, 100).error().code, "layout_mismatch");
  put("garbage");
  EXPECT_EQ(check_tensors(file_, kLayout, 100).error().code, "tensors_invalid");
}

// Another implementation of the format: the standard library of Python.
TEST_F(SafetensorsTest, IsReadBySomebodyElsesReader) {
  if (!fs::exists("/usr/bin/python3")) {
    GTEST_SKIP() << "needs /usr/bin/python3";
  }
  write(kValues, {{"round", "3"}});
  ChildOptions python;
  python.program = "/usr/bin/python3";
  python.arguments = {"-c", R"(
import json, struct, sys
raw = open(sys.argv[1], "rb").read()
length, = struct.unpack("<Q", raw[:8])
header, data = json.loads(raw[8:8 + length]), raw[8 + length:]
assert length % 8 == 0 and header.pop("__metadata__") == {"round": "3"}
values = {}
for name, tensor in header.items():
    begin, end = tensor["data_offsets"]
    values[name] = struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
assert header["fc.weight"]["shape"] == [2, 3] and header["scale"]["shape"] == []
assert values == {"fc.weight": (1, 2, 3, 4, 5, 6), "scale": (7,), "fc.bias": (8, 9, 10)}, values
)",
                      file_.string()};
  ChildProcess child(python);
  const auto status = child.wait_for(std::chrono::seconds(30));
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->success()) << status->to_string();
}

}  // namespace
}  // namespace entente
