#!/usr/bin/python3
"""A slow machine: the trainer that it is told, which gets a share of the time and no more.

    slowed_trainer.py TRAINER SHARE

The process itself becomes the trainer; a child of it stops it and lets it go on, ten times a second. So
whatever the trainer does takes 1 / SHARE as long, on any machine.
"""

import os
import signal
import sys
import time

PERIOD_S = 0.1


def slow_down(trainer, share):
    """Until the trainer has ended: a child without a parent has another one."""
    for pause, signum in ((PERIOD_S * share, signal.SIGSTOP),
                          (PERIOD_S * (1 - share), signal.SIGCONT)):
        time.sleep(pause)
        if os.getppid() != trainer:
            return False
        os.kill(trainer, signum)
    return True


def main():
    program, share = sys.argv[1], float(sys.argv[2])
    trainer = os.getpid()
    if os.fork() == 0:
        os.closerange(0, 2)  # the agent must see the stream end when the trainer does
        while slow_down(trainer, share):
            pass
        os._exit(0)
    os.execv(program, [program])


if __name__ == "__main__":
    main()
