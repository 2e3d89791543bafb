"""What each encoding of updates costs: the demo's job, once in each of them.

Uses the product's command line and the sites' own ledgers, and rewrites the table of
docs/encodings.md. The figures follow from the job's seed: the same build gives them again.
"""

import pathlib

import measured_table
from demo import SITES, Demo, accuracy

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/encodings.md"
ENCODINGS = {
    "float32": {},
    "f16": {},
    "bf16": {},
    "int8": {},
    "topk, fraction 0.1": {"fraction": 0.1},
    "topk, fraction 0.05": {"fraction": 0.05},
    "topk, fraction 0.01": {"fraction": 0.01},
}


def run_job(demo, name, keys):
    """Runs the job with these keys of [update]; returns it as `entente job show` does."""
    settings = [f"update.{key}={value}" for key, value in keys.items()]
    overrides = [f"name={name}", "evaluate.every=1000", *settings]
    job = demo.entente("job", "submit", str(demo.job_file),
                       *[part for o in overrides for part in ("--set", o)])["job"]
    demo.wait_for([job])
    return demo.entente("job", "show", job)


def bytes_of_updates(demo, job):
    """The size of every update of training that has left a site for this job."""
    rows = []
    for site in SITES:
        rows += demo.entente("sent", "--config",
                             str(demo.consortium / "sites" / site / "agent.toml"),
                             program="entente-agent")
    return [row["bytes"] for row in rows if row["job"] == job and row["kind"] == "train"]


def measure(demo):
    print("\n== The demo's job in each encoding ==\n", flush=True)
    rows = []
    for title, keys in ENCODINGS.items():
        encoding = title.split(",")[0]
        job = run_job(demo, "encoded-" + title.replace(", fraction ", "-"),
                      {"encoding": encoding, **keys})
        sent = bytes_of_updates(demo, job["job"])
        rows.append((title, accuracy(job), sum(sent) / len(sent)))
        print(f"  {title:20} accuracy {rows[-1][1]:.4f}, {rows[-1][2]:10,.0f} bytes", flush=True)
    return rows


def table(rows):
    whole = rows[0][2]
    lines = ["| `encoding` | accuracy | bytes of an update | of `float32` |", "|---|---|---|---|"]
    for title, reached, size in rows:
        encoding, _, fraction = title.partition(", ")
        name = f"`{encoding}`" + (f", `{fraction.replace(' ', ' = ')}`" if fraction else "")
        lines.append(f"| {name} | {100 * reached:.1f} % | {size:,.0f} | {100 * size / whole:.1f} % |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    measured_table.main("encodings", PAGE, Demo.up, lambda demo: table(measure(demo)))
