// Arrays of NumPy: written by NumPy itself, and hostile ones written by hand.
#include <fmt/format.h>
#include <zip.h>

#include <cstdlib>

#include "site-agent/data/npy_header.h"
#include "tests/unit/agent_data/data_folder.h"

namespace entente::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Arrays : public DataFolder {
 protected:
  // Runs Python with NumPy in the folder.
  void numpy(const std::string& code) const {
    const auto script = write("make.py", "import numpy as np\n" + code);
    const auto command = fmt::format("cd {} && /usr/bin/python3 make.py", folder_.string());
    ASSERT_EQ(std::system(command.c_str()), 0) << code;
  }

  [[nodiscard]] DatasetConfig npy() const {
    DatasetConfig config;
    config.name = "arrays";
    config.source =
        NpyFiles{{.inputs = (folder_ / "x.npy").string(), .labels = (folder_ / "y.npy").string()}};
    return config;
  }
  [[nodiscard]] DatasetConfig npz() const {
    DatasetConfig config;
    config.name = "arrays";
    config.source = NpzFile{folder_ / "all.npz", {.inputs = "x", .labels = "y"}};
    return config;
  }

  // An array as bytes, its header padded as NumPy pads it.
  static std::string array(std::string dictionary, std::string_view elements, char major = 1) {
    dictionary += '\n';
    std::string bytes = "\x93NUMPY";
    bytes += major;
    bytes += '\0';
    for (std::size_t i = 0, rest = dictionary.size(); i < (major == 1 ? 2U : 4U); ++i, rest >>= 8) {
      bytes += static_cast<char>(rest & 0xff);
    }
    return bytes + dictionary + std::string(elements);
  }
  static std::string header(const std::string& type, const std::string& shape) {
    return fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", type, shape);
  }

  std::string refusal_of_inputs(std::string_view bytes) const {
    write("x.npy", bytes);
    write("y.npy", array(header("|u1", "(2,)"), std::string(2, '\0')));
    return refusal(npy());
  }
};

TEST_F(Arrays, AreReadAsNumpyWritesThem) {
  for (const char* type : {"float32", "float64", "uint8", "int8", "uint16", "int16", "uint32",
                           "int32", "uint64", "int64"}) {
    numpy(
        fmt::format("np.save('x.npy', np.arange(12).reshape(3, 2, 2).astype('{}'))\n"
                    "np.save('y.npy', np.array([2, 0, 1], dtype='int64'))\n",
                    type));
    const auto data = load(npy());
    EXPECT_THAT(data.shape, ElementsAre(2, 2));
    EXPECT_THAT(data.features, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)) << type;
    EXPECT_THAT(data.labels, ElementsAre(2, 0, 1));
    EXPECT_EQ(data.classes, 3U);
  }
}

TEST_F(Arrays, MayLieInAnArchiveCompressedOrNot) {
  for (const char* save : {"savez", "savez_compressed"}) {
    numpy(fmt::format("np.{}('all.npz', x=np.full((500, 3), -1.5), y=np.arange(500) % 7)", save));
    const auto data = load(npz());
    EXPECT_EQ(data.size(), 500U);
    EXPECT_EQ(data.features[1499], -1.5F);
    EXPECT_EQ(data.labels[8], 1);
    const auto advert = describe_dataset(npz());
    ASSERT_TRUE(advert);
    EXPECT_EQ(advert->kind, "npz");
    EXPECT_EQ(advert->classes, 7U);
  }
  auto config = npz();
  std::get<NpzFile>(config.source).arrays.inputs = "z";
  EXPECT_EQ(refusal(config), "all.npz holds no array \"z.npy\"");
}

TEST_F(Arrays, PixelsAreDividedAndTokensAreNot) {
  numpy(
      "np.save('x.npy', np.array([[0, 255], [51, 102]], dtype='uint8'))\n"
      "np.save('y.npy', np.array([True, False]))");
  auto config = npy();
  auto& keys = std::get<NpyFiles>(config.source).arrays;
  keys.divide_by = 255;
  EXPECT_THAT(load(config).features, ElementsAre(0, 1, 0.2F, 0.4F));
  keys.vocabulary = 256;
  EXPECT_THAT(load(config).tokens, ElementsAre(0, 255, 51, 102));
  EXPECT_EQ(load(config).vocabulary, 256U);
  keys.vocabulary = 255;
  EXPECT_EQ(refusal(config),
            "x.npy: example 0 has a token that is not below the vocabulary of 255");
}

TEST_F(Arrays, MayHaveNumbersToPredict) {
  numpy(
      "np.save('x.npy', np.ones((2, 3)))\n"
      "np.save('t.npy', np.array([[1, 2.5], [3, 4]]))");
  auto config = npy();
  auto& keys = std::get<NpyFiles>(config.source).arrays;
  keys.labels.clear();
  keys.targets = (folder_ / "t.npy").string();
  const auto data = load(config);
  EXPECT_EQ(data.targets, 2U);
  EXPECT_EQ(data.size(), 2U);
  EXPECT_THAT(data.values, ElementsAre(1, 2.5F, 3, 4));
}

TEST_F(Arrays, ArePartedAndHeldOutLikeOthers) {
  numpy(
      "np.save('x.npy', np.arange(2000).reshape(1000, 2))\nnp.save('y.npy', np.arange(1000) % 2)");
  auto config = npy();
  config.holdout = Holdout{0.3, "", true};
  const auto held = load(config).size();
  config.holdout->held = false;
  EXPECT_EQ(held + load(config).size(), 1000U);
  EXPECT_NEAR(static_cast<double>(held), 300, 50);
}

TEST_F(Arrays, OfAnotherLayoutAreRefusedWithWhatToDo) {
  numpy(
      "np.save('y.npy', np.zeros(2, dtype=int))\n"
      "np.save('x.npy', np.asfortranarray(np.ones((2, 3))))");
  EXPECT_EQ(refusal(npy()), "x.npy: is in Fortran order");
  numpy("np.save('x.npy', np.ones((2, 3), dtype='>f4'))");
  EXPECT_EQ(refusal(npy()), "x.npy: has elements of type \"f4\", which is not read");
  numpy("np.save('x.npy', np.ones((2, 3), dtype='complex64'))");
  EXPECT_THAT(refusal(npy()), HasSubstr("\"c8\""));
  numpy("np.save('x.npy', np.array([{}, 'text'], dtype=object))");
  EXPECT_THAT(refusal(npy()), HasSubstr("\"O\""));
  numpy("np.save('x.npy', np.zeros(2, dtype=[('a', 'f4'), ('b', 'i4')]))");
  EXPECT_THAT(refusal(npy()), HasSubstr("records or objects"));
  numpy("np.save('x.npy', np.array([[1.0], [np.nan]]))");
  EXPECT_EQ(refusal(npy()), "x.npy: example 1 has a number that is not finite");
  numpy("np.save('x.npy', np.ones((3, 2)))");
  EXPECT_EQ(refusal(npy()), "x.npy has 3 examples, but y.npy has 2");
  numpy("np.save('x.npy', np.ones((2, 2)))\nnp.save('y.npy', np.array([0, -1]))");
  EXPECT_THAT(refusal(npy()), HasSubstr("y.npy: example 1 has no label from 0"));
  numpy("np.save('y.npy', np.array([0.0, 1.0]))");
  EXPECT_THAT(refusal(npy()), HasSubstr("labels must be whole numbers"));
}

TEST_F(Arrays, AForgedHeaderCannotAskForMemory) {
  const std::string two(2, 'x');
  EXPECT_THAT(refusal_of_inputs(array(header("|u1", "(2, 4294967295, 4294967295)"), two)),
              HasSubstr("larger than 64 MiB"));
  EXPECT_THAT(refusal_of_inputs(array(header("|u1", "(4294967295, 1)"), two)),
              HasSubstr("announces 4294967295 examples, but holds 2 bytes"));
  EXPECT_THAT(refusal_of_inputs(array(header("<f8", "(2, 0)"), two)), HasSubstr("are empty"));
  EXPECT_THAT(refusal_of_inputs(array(header("|u1", "(2, 99999999999)"), two)),
              HasSubstr("cannot be read"));
  EXPECT_THAT(refusal_of_inputs(array(header("|u1", "()"), "x")), HasSubstr("0 dimensions"));
  std::string deep = "(2";
  for (int i = 0; i < 500; ++i) {
    deep += ", 1";
  }
  EXPECT_THAT(refusal_of_inputs(array(header("|u1", deep + ")"), two)),
              HasSubstr("501 dimensions"));
  EXPECT_THAT(refusal_of_inputs(std::string("\x93NUMPY\x02\0\xff\xff\xff\x7f", 12)),
              HasSubstr("a header of 2147483647 bytes"));
  EXPECT_THAT(refusal_of_inputs(array(header("|u1", "(2, 1)"), two, 4)), HasSubstr("version 4"));
  EXPECT_EQ(refusal_of_inputs("GIF89a, and more"), "x.npy: is no array of NumPy");
  EXPECT_EQ(refusal_of_inputs("\x93NUM"), "x.npy: truncated");
}

TEST_F(Arrays, EveryVersionOfTheFormatIsReadAndNoCutFile) {
  for (const char major : {1, 2, 3}) {
    const auto whole = array(header("<f4", "(2, 1)"), std::string("\0\0\x80?\0\0\0@", 8), major);
    write("x.npy", whole);
    write("y.npy", array(header("|u1", "(2,)"), std::string(2, '\0')));
    EXPECT_THAT(load(npy()).features, ElementsAre(1, 2));
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      write("x.npy", std::string_view(whole).substr(0, bytes));
      EXPECT_FALSE(load_dataset(npy())) << bytes;
    }
  }
}

TEST_F(Arrays, AnArchiveThatClaimsMoreThanItHoldsIsRefused) {
  numpy(
      "np.savez_compressed('all.npz', x=np.zeros((200000, 4)), y=np.zeros(200000, dtype='int8'))");
  EXPECT_EQ(load(npz()).size(), 200'000U) << "zeros compress a thousandfold, and that is legal";
  // The sizes in the central directory: 3 GiB of zeros, in as many bytes as before.
  std::fstream file(folder_ / "all.npz", std::ios::in | std::ios::out | std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const auto entry = bytes.find("PK\x01\x02");
  ASSERT_NE(entry, std::string::npos);
  file.seekp(static_cast<std::streamoff>(entry + 24));
  file.write("\0\0\0\xc0", 4);
  file.close();
  EXPECT_FALSE(load_dataset(npz()));
  write("all.npz", "PK, but no archive");
  EXPECT_THAT(refusal(npz()), HasSubstr("all.npz: "));
  std::filesystem::remove(folder_ / "all.npz");
  EXPECT_EQ(refusal(npz()), "cannot open all.npz: No such file or directory");
}

TEST(NpyHeader, IsReadStrictly) {
  EXPECT_TRUE(parse_npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"));
  EXPECT_TRUE(parse_npy_header("{\"shape\":(3,4),\"descr\":\"|u1\",\"fortran_order\":True,} \n"));
  for (const char* text :
       {"", "{}", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'x': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} {",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3",
        "{'descr': '<f4', 'fortran_order': None, 'shape': (3,)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (3,)}"}) {
    EXPECT_FALSE(parse_npy_header(text)) << text;
  }
}

}  // namespace
}  // namespace entente::agent
