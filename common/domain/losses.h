// What training lowers, under torch's names, and what each loss asks of a model and of the data.
//
//   cross_entropy   a score for each class          against the class
//   hinge           a score for each class, or one  against the class (a linear SVM)
//   bce             a score for each yes-or-no      against the class 0 or 1, or numbers 0 to 1
//   mse, l1         a value for each number         against the numbers
//
// Scores are logits: no softmax or sigmoid belongs at the end of a model.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/enum_names.h"
#include "common/domain/model_spec.h"

namespace entente {

enum class Loss : std::uint8_t { cross_entropy, bce, mse, l1, hinge };

inline constexpr std::array kLosses{
    EnumName<Loss>{Loss::cross_entropy, "cross_entropy"}, EnumName<Loss>{Loss::bce, "bce"},
    EnumName<Loss>{Loss::mse, "mse"}, EnumName<Loss>{Loss::l1, "l1"},
    EnumName<Loss>{Loss::hinge, "hinge"}};
static_assert(in_order(kLosses));

[[nodiscard]] inline std::string_view to_string(Loss loss) { return name_of(kLosses, loss); }
[[nodiscard]] inline std::optional<Loss> parse_loss(std::string_view name) {
  return value_of(kLosses, name);
}
[[nodiscard]] std::vector<std::string> loss_names();

// What the model is to say of an example.
enum class Target : std::uint8_t { its_class, numbers };

// Whether a dataset with such targets can be trained on with this loss.
[[nodiscard]] bool learns(Loss loss, Target target);

// Classes that a model with so many outputs tells apart: a single score is for two, except of
// cross_entropy. 0: it answers with numbers, or several questions with yes or no.
[[nodiscard]] std::int64_t classes_of(Loss loss, std::int64_t outputs);

// Refuses with "model_invalid" a model whose output is not what the loss needs, and with
// "job_invalid" class weights that the loss has no use for or that are not one for each class.
[[nodiscard]] Expected<void> check_loss(Loss loss, const std::vector<double>& class_weights,
                                        const Shape& output);

}  // namespace entente
