"""What each encoding of updates costs: the demo's job, once in each of them.

Uses the product's command line and the sites' own ledgers, and rewrites the table of
docs/encodings.md. The figures follow from the job's seed: the same build gives them again.
"""

import argparse
import pathlib
import shutil
import signal
import sys

from demo import SITES, Demo, accuracy

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/encodings.md"
BEGIN = "<!-- begin of the table that ./run encodings writes -->\n"
END = "<!-- end of the table -->\n"
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


def rewrite(page, text):
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{text}{END}{after}"


def main():
    parser = argparse.ArgumentParser(prog="./run encodings")
    parser.add_argument("--programs", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: sys.exit(1))

    folder = pathlib.Path("demo/encodings").resolve()
    demo = Demo(arguments.programs.resolve(), folder)
    demo.down()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        demo.up()
        print("\n== The demo's job in each encoding ==\n", flush=True)
        rows = measure(demo)
    finally:
        demo.down()
    PAGE.write_text(rewrite(PAGE.read_text(), table(rows)))
    print(f"\nThe table: {PAGE}")


if __name__ == "__main__":
    main()
