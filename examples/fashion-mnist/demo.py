"""The demo: three institutions train one model on Fashion-MNIST, and each one alone for comparison.

Uses nothing but the product's own command line; what it prints and writes to demo/report.json comes
from there. Exits with 0 only if the federated model is better than every site's own.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CLASSES = ["t-shirt", "trouser", "pullover", "dress", "coat",
           "sandal", "shirt", "sneaker", "bag", "boot"]
SITES = ["north", "east", "south"]


class Demo:
    def __init__(self, programs, folder):
        self.programs = programs
        self.folder = folder
        self.consortium = folder / "consortium"
        self.job_file = HERE / "job.toml"
        self.environment = dict(os.environ, ENTENTE_KIT=str(self.consortium / "kits/coordinator"))

    def entente(self, *arguments, program="entente"):
        """Runs a command and returns its JSON."""
        done = subprocess.run([self.programs / program, *arguments, "--json"], text=True,
                              stdout=subprocess.PIPE, env=self.environment)
        if done.returncode != 0:
            raise SystemExit(f"error: {program} {' '.join(arguments)} failed")
        return json.loads(done.stdout)

    def up(self):
        print("\n== A consortium of three sites on this machine ==\n", flush=True)
        up = self.entente("local", "up", "--sites", str(len(SITES)), "--dir", str(self.consortium),
                          "--site-config", str(HERE / "site.toml"))
        print(f"  broker   {up['broker']}, TLS 1.3 with certificates on both sides")
        for site in SITES:
            print(f"  {site:8} a process of its own, with its own key, data folder and policy")

    def down(self):
        if self.consortium.exists():
            subprocess.run([self.programs / "entente", "local", "down", "--dir", self.consortium])

    def print_class_table(self):
        print("\n== What each site has (images per class; told here, never to the broker) ==\n")
        columns = []
        for site in SITES:
            datasets = self.entente("datasets", "--config",
                                    str(self.consortium / "sites" / site / "agent.toml"),
                                    program="entente-agent")
            counts = next(d for d in datasets if d["name"] == "fashion-mnist")["class_counts"]
            columns.append(counts + [sum(counts)])
        print(f"  {'':8}" + "".join(f"{site:>10}" for site in SITES))
        for name, *counts in zip(CLASSES + ["in all"], *columns):
            print(f"  {name:8}" + "".join(f"{count:10,}" for count in counts))

    def train_together(self):
        print("\n== One model, trained together ==\n", flush=True)
        ended = subprocess.run([self.programs / "entente", "job", "submit", self.job_file,
                                "--watch"], env=self.environment)
        job = self.entente("job", "list")[-1]["job"]
        if ended.returncode != 0:
            raise SystemExit(f"error: {job} did not complete")
        return self.entente("job", "show", job)

    def wait_for(self, jobs, watch=lambda states: None):
        """Until all have completed; `watch` sees them twice a second."""
        while True:
            states = {job["job"]: job for job in self.entente("job", "list")}
            watch(states)
            if all(states[job]["state"] in ("completed", "failed", "aborted") for job in jobs):
                break
            time.sleep(0.5)
        for job in jobs:
            if states[job]["state"] != "completed":
                raise SystemExit(f"error: {job} {states[job]['state']}: {states[job]['reason']}")

    def train_alone(self, rounds):
        """One job per site, all at the same time: the same work on nobody's data but its own."""
        print("\n== The same model, trained by each site alone ==\n", flush=True)
        jobs = {}
        for site in SITES:
            overrides = [f"name=alone-{site}", f'sites.mandatory=["{site}"]', "sites.min=1",
                         "sites.max=1", f"evaluate.every={rounds}"]
            submitted = self.entente("job", "submit", str(self.job_file),
                                     *[part for o in overrides for part in ("--set", o)])
            jobs[site] = submitted["job"]
        shown = {}

        def show_rounds(states):
            for site, job in jobs.items():
                if states[job]["round"] != shown.get(site, 0):
                    shown[site] = states[job]["round"]
                    print(f"{site}: round {shown[site]} of {rounds}", flush=True)

        self.wait_for(list(jobs.values()), show_rounds)
        return {site: self.entente("job", "show", job) for site, job in jobs.items()}


def accuracy(job):
    return job["rounds_done"][-1]["evaluate_metrics"]["accuracy"]


def print_case(federated, alone, model):
    print("\n== Accuracy on 10,000 test images that nobody trained on ==\n")
    bars = {f"{site} alone": accuracy(alone[site]) for site in SITES}
    bars["together"] = accuracy(federated)
    for name, value in bars.items():
        print(f"  {name:12} {value:6.3f}  {'#' * round(50 * value)}")
    print("\n== What left each site for it ==\n")
    print(f"  {'':8}{'bytes':>12}{'tensors':>10}{'updates':>10}{'examples counted':>18}")
    for site in federated["sites"]:
        print(f"  {site['site']:8}{site['bytes_out']:12,}{site['tensors_out']:10}"
              f"{site['updates_accepted']:10}{site['examples']:18,}")
    first = min(site["site"] for site in federated["sites"])
    print(f"\n  With each update: how many examples and steps, loss and accuracy. No picture, no label."
          f"\n  {first} also made the initial model."
          f"\n  With each evaluation: metrics, and the counts that they follow from."
          f"\n\nThe model:  {model}")


def main():
    parser = argparse.ArgumentParser(prog="./run demo")
    parser.add_argument("--programs", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help="leave the consortium running")
    arguments = parser.parse_args()

    folder = pathlib.Path("demo").resolve()
    demo = Demo(arguments.programs.resolve(), folder)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: sys.exit(1))

    demo.down()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    begun = time.monotonic()
    finished = False
    try:
        demo.up()
        demo.print_class_table()
        federated = demo.train_together()
        alone = demo.train_alone(federated["rounds"])
        model = folder / "model.safetensors"
        demo.entente("model", "pull", federated["job"], "-o", str(model))
        report = {
            "federated_accuracy": accuracy(federated),
            "site_accuracy": {site: accuracy(alone[site]) for site in SITES},
            "rounds": federated["rounds"],
            "seconds": round(time.monotonic() - begun, 1),
            "bytes_out": {site["site"]: site["bytes_out"] for site in federated["sites"]},
        }
        (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        print_case(federated, alone, model)
        finished = True
    except KeyboardInterrupt:
        print("\nstopped by you; cleaning up", flush=True)
        sys.exit(130)
    finally:
        if not (arguments.keep and finished):
            demo.down()
    print(f"The report: {folder / 'report.json'} ({report['seconds']} s in all)")
    if arguments.keep:
        entente = demo.programs / "entente"
        print(f"\nThe consortium is still running. Use it:\n"
              f"  export ENTENTE_KIT={demo.environment['ENTENTE_KIT']}\n"
              f"  {entente} job list\n  {entente} site list\n"
              f"Stop it:\n  {entente} local down --dir {demo.consortium}")
    better = report["federated_accuracy"] > max(report["site_accuracy"].values())
    print("\nTogether is better than every site alone." if better else
          "\nerror: the federated model is not better than every site's own")
    sys.exit(0 if better else 1)


if __name__ == "__main__":
    main()
