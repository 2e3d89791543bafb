"""What asynchronous training brings where sites differ in speed: one fast site and three slow ones.

Every site has an equal share of the digits and trains them with the same program; at the slow ones it gets a tenth
of the time. Runs the same job with FedAvg, whose rounds wait for all, and with FedBuff, and rewrites the table of
docs/algorithms.md: when the first model was there whose loss on the test images is below the target, and what that
has cost. Times differ from machine to machine and from run to run; their ratio follows from the speeds.
"""

import datetime
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "fashion-mnist"))

import measured_table  # noqa: E402

PAGE = HERE.parents[1] / "docs/algorithms.md"
SITES = ["fast", "slow-1", "slow-2", "slow-3"]
SLOWNESS = 10
TARGET = 0.5
# The asynchronous jobs have more updates to spend, since many are late; what counts is when the
# target is reached.
JOBS = {
    "FedAvg: a round waits for its four sites": {"rounds": "15"},
    "FedBuff, `buffer = 4`": {"rounds": "36", "async.buffer": "4"},
    "FedBuff, `buffer = 2`": {"rounds": "72", "async.buffer": "2"},
}


def write_site_config(demo):
    """The end of each site's agent.toml; the trainer of a slow site is slowed down."""
    trainer = demo.programs / "entente-trainer"
    folder = demo.folder / "trainers"
    folder.mkdir()
    for site in SITES:
        program = folder / site
        slow = f"{sys.executable} -B {HERE / 'slowed_trainer.py'} {trainer} {1 / SLOWNESS}"
        program.write_text(f"#!/bin/sh\nexec {trainer if site == 'fast' else slow}\n")
        program.chmod(0o755)
    config = (HERE / "even-site.toml").read_text().replace("{here}", str(HERE))
    path = demo.folder / "site.toml"
    path.write_text(f'{config}\n[trainer]\nprogram = "{folder}/{{site}}"\n')
    return path


def start(demo):
    demo.job_file = HERE / "speeds.toml"
    # A place to compute in for each: a slow site must not keep the fast one out.
    demo.entente("local", "up", "--names", ",".join(SITES), "--dir", str(demo.consortium),
                 "--trainers", str(len(SITES)), "--site-config", str(write_site_config(demo)))


def events_of(demo, job):
    done = subprocess.run([demo.programs / "entente", "job", "watch", job, "--json"], text=True,
                          stdout=subprocess.PIPE, env=demo.environment, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def reached(job, events):
    """The first round whose model is good enough, the seconds until it was there, and updates until then."""
    good = [row["round"] for row in job["rounds_done"]
            if row.get("evaluate_metrics", {}).get("loss", TARGET) < TARGET]
    if not good:
        return None
    at = {event["kind"] + str(event["round"]): event["unix_ms"] for event in events}
    begin = next(event["unix_ms"] for event in events if event["kind"] == "round_started")
    end = at[f"round_merged{good[0]}"]
    sites = [event["site"] for event in events
             if event["kind"] == "update_accepted" and event["round"] > 0 and event["unix_ms"] <= end]
    return good[0], (end - begin) / 1000, len(sites), sites.count("fast")


def measure(demo):
    print("\n== The same job, waiting for slow sites or not ==\n", flush=True)
    rows = []
    for number, (title, keys) in enumerate(JOBS.items(), 1):
        settings = [f"name=speeds-{number}", *(f"{key}={value}" for key, value in keys.items())]
        job = demo.entente("job", "submit", str(demo.job_file),
                           *[part for one in settings for part in ("--set", one)])["job"]
        demo.wait_for([job])
        found = reached(demo.entente("job", "show", job), events_of(demo, job))
        rows.append((title, found))
        print(f"  {title:42} {found or 'not reached'}", flush=True)
    return rows


def table(rows):
    waiting = rows[0][1]
    lines = [f"| job | time to a loss of {TARGET} | model version | updates until then | of the fast site |",
             "|---|---|---|---|---|"]
    for title, found in rows:
        if found is None:
            lines.append(f"| {title} | not reached | | | |")
            continue
        version, seconds, updates, fast = found
        is_compared = waiting is not None and found is not waiting
        ratio = f", {waiting[1] / seconds:.1f} times as fast" if is_compared else ""
        lines.append(f"| {title} | {seconds:.0f} s{ratio} | {version} | {updates} | {fast} |")
    return "\n".join(lines) + f"\n\nRun on {datetime.date.today()}.\n"


if __name__ == "__main__":
    measured_table.main("asynchrony", PAGE, start, lambda demo: table(measure(demo)))
