#include "tests/support/killed_job.h"

#include <gtest/gtest.h>

#include "tests/support/temp_folder.h"
#include "tests/support/wait.h"

namespace entente::integration {

std::string end_though_killed(Consortium& consortium, const JobFile& file) {
  consortium.hold("north", "train-2");
  consortium.hold("north", "train-3");
  const auto job = consortium.submit(file);
  const auto trainer = consortium.wait_until_held("north", "train-2");
  consortium.kill("north");
  consortium.start_agent("north");
  (void)consortium.wait_until_held("north", "train-2", trainer);
  consortium.release("north", "train-2");

  (void)consortium.wait_until_held("north", "train-3");
  consortium.kill("broker");
  consortium.release("north", "train-3");
  const auto finished = "round 3: train is finished  job=" + job;
  wait_until("the update is finished",
             [&] { return count(consortium.log("north"), finished) == 1; });
  consortium.kill("north");
  consortium.start_broker();
  consortium.start_agent("north");
  EXPECT_EQ(consortium.wait_for_end(job)["state"], "completed");
  return job;
}

}  // namespace entente::integration
