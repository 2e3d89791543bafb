"""What each algorithm for unequal data brings: jobs on sites that have seen different digits, or see them
differently.

Six sites, each with mostly a few of the ten digits. Counts the rounds until the global model first reaches
the target; for the algorithms that give each site a model of its own, what that is worth on digits that the
site has kept from training. Then all digits at every site, which look different at each: what normalising
them in the site's own way is worth. Rewrites the tables of docs/algorithms.md. The figures follow from the
jobs' seeds: the same build gives them again.
"""

import datetime
import gzip
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "fashion-mnist"))

import measured_table  # noqa: E402

PAGE = HERE.parents[1] / "docs/algorithms.md"
SITES = 6
ROUNDS = 40  # of skewed.toml
TARGET = 0.85
# Plain sgd for all: SCAFFOLD takes no other.
ALGORITHMS = {
    "FedAvg": {},
    "FedProx, `prox_mu = 0.1`": {"train.prox_mu": "0.1"},
    "FedNova": {"strategy.kind": "fednova"},
    "SCAFFOLD": {"strategy.kind": "scaffold"},
}
# Judged on each site's own digits.
OWN_DIGITS = {"train.dataset": "own-digits", "evaluate.dataset": "own-digits-holdout"}
OWN_MODELS = {
    "FedAvg: one model for all": {},
    'FedRep, `private = ["classes.*"]`': {"train.private": '["classes.*"]'},
    "Ditto, `lambda = 0.1`": {"train.personal.lambda": "0.1", "evaluate.personal": "true"},
    "Ditto, `lambda = 1`": {"train.personal.lambda": "1.0", "evaluate.personal": "true"},
}
# How each site sees a pixel, from 0 for paper to 255 for ink: brighter or darker, with more or less contrast.
LOOKS = [
    lambda ink: ink,
    lambda ink: ink // 2,
    lambda ink: ink // 4,
    lambda ink: 64 + ink // 2,
    lambda ink: 128 + ink // 2,
    lambda ink: 192 + ink // 4,
]
LOOKS_ROUNDS = 20  # of looks.toml
LOOKS_TARGET = 0.85
BY_LOOKS = {
    "FedAvg: one normalisation for all": {},
    'FedBN, `exclude = ["norm.*"]`': {"train.exclude": '["norm.*"]'},
}


def run_job(demo, number, keys, file="skewed.toml"):
    """Runs the job with these settings; returns it as `entente job show` does."""
    settings = [f"{key}={value}" for key, value in keys.items()]
    overrides = [f"name=algorithm-{number}", *settings]
    job = demo.entente("job", "submit", str(HERE / file),
                       *[part for o in overrides for part in ("--set", o)])["job"]
    demo.wait_for([job])
    return demo.entente("job", "show", job)


def curve(job):
    """Accuracy by round."""
    return {row["round"]: row["evaluate_metrics"]["accuracy"]
            for row in job["rounds_done"] if row.get("evaluate_metrics")}


def measure(demo):
    print("\n== One job in each algorithm ==\n", flush=True)
    rows = []
    for number, (title, keys) in enumerate(ALGORITHMS.items(), 1):
        accuracies = curve(run_job(demo, number, keys))
        reached = next((r for r, value in accuracies.items() if value >= TARGET), None)
        rows.append((title, reached, accuracies[ROUNDS]))
        print(f"  {title:26} rounds {reached or '-'}, at the end {accuracies[ROUNDS]:.4f}",
              flush=True)
    return rows


def measure_own(demo):
    """Accuracy over the own digits of all sites after 5 rounds and at the end, and of the site
    that fares worst at the end."""
    print("\n== Models of the sites' own ==\n", flush=True)
    rows = []
    for number, (title, keys) in enumerate(OWN_MODELS.items(), 1):
        job = run_job(demo, f"own-{number}", {**OWN_DIGITS, **keys})
        accuracies = curve(job)
        last = job["rounds_done"][-1]
        if last["evaluated_at"] != SITES:
            sys.exit(f"error: {last['evaluated_at']} of {SITES} sites have judged {title}")
        worst = min(site["evaluate_metrics"]["accuracy"] for site in job["sites"])
        rows.append((title, accuracies[5], accuracies[ROUNDS], worst))
        print(f"  {title:36} {accuracies[5]:.4f}, at the end {accuracies[ROUNDS]:.4f}, "
              f"worst {worst:.4f}", flush=True)
    return rows


def measure_looks(demo):
    """Rounds until all sites together read the target share of the test digits, each as it sees them."""
    print("\n== Digits that look different at each site ==\n", flush=True)
    rows = []
    for number, (title, keys) in enumerate(BY_LOOKS.items(), 1):
        job = run_job(demo, f"looks-{number}", keys, "looks.toml")
        accuracies = curve(job)
        reached = next((r for r, value in accuracies.items() if value >= LOOKS_TARGET), None)
        worst = min(site["evaluate_metrics"]["accuracy"] for site in job["sites"])
        rows.append((title, reached, accuracies[LOOKS_ROUNDS], worst))
        print(f"  {title:36} rounds {reached or '-'}, at the end {accuracies[LOOKS_ROUNDS]:.4f}, "
              f"worst {worst:.4f}", flush=True)
    return rows


def table(rows, own_rows, looks_rows):
    lines = [f"| algorithm | rounds to {100 * TARGET:.0f} % | after {ROUNDS} rounds |",
             "|---|---|---|"]
    for title, reached, last in rows:
        lines.append(f"| {title} | {reached or 'not reached'} | {100 * last:.1f} % |")
    lines += ["", "On each site's own digits that it has kept from training:", "",
              f"| algorithm | after 5 rounds | after {ROUNDS} | at the worst site |",
              "|---|---|---|---|"]
    for title, early, last, worst in own_rows:
        lines.append(f"| {title} | {100 * early:.1f} % | {100 * last:.1f} % | {100 * worst:.1f} % |")
    lines += ["", "On digits that look different at each site:", "",
              f"| algorithm | rounds to {100 * LOOKS_TARGET:.0f} % | after {LOOKS_ROUNDS} rounds | at the worst site |",
              "|---|---|---|---|"]
    for title, reached, last, worst in looks_rows:
        lines.append(f"| {title} | {reached or 'not reached'} | {100 * last:.1f} % | {100 * worst:.1f} % |")
    return "\n".join(lines) + f"\n\nRun on {datetime.date.today()}.\n"


def write_looks(folder):
    """The images of this folder, once as each site sees them."""
    for name in ("train", "test"):
        with gzip.open(HERE / f"{name}-images.idx.gz") as file:
            header, pixels = file.read(16), file.read()
        for index, look in enumerate(LOOKS):
            seen = pixels.translate(bytes(look(ink) for ink in range(256)))
            (folder / f"{name}-{index}.idx").write_bytes(header + seen)


def start(demo):
    write_looks(demo.folder)
    here = str(HERE)
    config = demo.folder / "site.toml"
    config.write_text((HERE / "skewed-site.toml").read_text().replace("{here}", here)
                      + (HERE / "looks-site.toml").read_text().replace("{labels}", here))
    demo.entente("local", "up", "--sites", str(SITES), "--dir", str(demo.consortium),
                 "--site-config", str(config))


if __name__ == "__main__":
    measured_table.main("algorithms", PAGE, start,
                        lambda demo: table(measure(demo), measure_own(demo), measure_looks(demo)))
