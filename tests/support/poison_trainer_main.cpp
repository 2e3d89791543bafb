// poison-trainer: quick-trainer at a site that means harm, now and then.
#include "tests/support/quick_trainer.h"

int main() { return entente::integration::run_quick_trainer(true); }
