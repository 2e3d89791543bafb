// quick-trainer: a trainer without LibTorch, for tests that need many rounds and no learning. It
// speaks the trainer contract like the built-in one, and starts in a few milliseconds.
#include "tests/support/quick_trainer.h"

int main() { return entente::integration::run_quick_trainer(false); }
