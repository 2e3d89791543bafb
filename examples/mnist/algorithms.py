"""What each algorithm for unequal data brings: one job on sites that have seen different digits.

Six sites, each with mostly a few of the ten digits. Counts the rounds until the global model first reaches
the target, and rewrites the table of docs/algorithms.md. The figures follow from the job's seed:
the same build gives them again.
"""

import datetime
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


def run_job(demo, number, keys):
    """Runs the job with these settings; returns it as `entente job show` does."""
    settings = [f"{key}={value}" for key, value in keys.items()]
    overrides = [f"name=algorithm-{number}", *settings]
    job = demo.entente("job", "submit", str(demo.job_file),
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


def table(rows):
    lines = [f"| algorithm | rounds to {100 * TARGET:.0f} % | after {ROUNDS} rounds |",
             "|---|---|---|"]
    for title, reached, last in rows:
        lines.append(f"| {title} | {reached or 'not reached'} | {100 * last:.1f} % |")
    return "\n".join(lines) + f"\n\nRun on {datetime.date.today()}.\n"


def start(demo):
    demo.job_file = HERE / "skewed.toml"
    demo.entente("local", "up", "--sites", str(SITES), "--dir", str(demo.consortium),
                 "--site-config", str(HERE / "skewed-site.toml"))


if __name__ == "__main__":
    measured_table.main("algorithms", PAGE, start, lambda demo: table(measure(demo)))
