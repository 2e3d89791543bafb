#!/usr/bin/env python3
"""./run bench: what Entente does beside what this machine could do at most, measured in one run.

Prints a table of figures with their aims and writes bench/report.json. Sections: machine, parts,
training, rounds, control, submits, idle; all of them unless some are named.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

GB = 1e9
MB = 1e6
CORES = os.cpu_count()
SECTIONS = ["machine", "parts", "training", "rounds", "control", "submits", "idle"]


def run_parts(programs, pattern, seconds):
    """Name -> {"rate": bytes per second, "cpu": processor seconds per GB} of Google Benchmarks."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        done = subprocess.run(
            [f"{programs}/bench_parts", f"--benchmark_filter={pattern}",
             f"--benchmark_min_time={seconds}", f"--benchmark_out={out.name}",
             "--benchmark_out_format=json"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        report = json.load(open(out.name))
    figures = {}
    for one in report["benchmarks"]:
        if one.get("error_occurred"):
            sys.exit(f"error: {one['name']}: {one['error_message']}")
        name = re.sub(r"/(process_time|real_time|iterations:\d+)", "", one["name"])
        unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[one["time_unit"]]
        figure = {"seconds": one["real_time"] * unit, "cpu_seconds": one["cpu_time"] * unit}
        if "bytes_per_second" in one:
            figure["rate"] = one["bytes_per_second"]
            figure["cpu"] = figure["cpu_seconds"] / (figure["rate"] * figure["seconds"] / GB)
        figures[name] = figure
    return figures


def run_rounds(programs, *arguments):
    done = subprocess.run([f"{programs}/bench_rounds", *map(str, arguments)],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(done.returncode)  # it has said why
    return json.loads(done.stdout)


def bound_of_round(figures, sites, model_bytes, write="page_cache_write", with_zmq=False):
    """The least time a round can take here, from the primitives: each byte that has to be moved,
    hashed or written costs what the primitive costs, on all cores, and the disk what it takes.
    `write` is what a byte into the page cache costs; `with_zmq` adds what libzmq costs between our
    own TLS and the program, at both ends."""
    gb = sites * model_bytes / GB
    model_gb = model_bytes / GB
    cpu = (
        2 * gb * figures["machine/tls_stream"]["cpu"]  # the model down, the update up; both ends
        + (3 * gb + model_gb) * figures["machine/sha256"]["cpu"]  # a name for each blob at each end
        + (3 * gb + model_gb) * figures["machine/" + write]["cpu"]  # update, copy, spool
        + (gb + model_gb) / (figures["machine/memory_read/threads:1"]["rate"] / GB))  # the merge
    if with_zmq:
        cpu += 2 * gb * figures["machine/zmq_unix_stream"]["cpu"]
    durable = (2 * gb + model_gb) * GB / figures["machine/durable_write"]["rate"]
    return max(cpu / CORES, durable)


class Table:
    """Rows of figure, aim and whether it is reached."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, shown, aim=None, limit=None, at_least=False):
        reached = None
        if limit is not None:
            reached = value >= limit if at_least else value <= limit
        self.rows.append({"figure": name, "value": value, "shown": shown, "aim": aim,
                          "reached": reached})
        mark = {None: "", True: "yes", False: "NO"}[reached]
        print(f"  {name:<44} {shown:>22}   {aim or '':<26} {mark}", flush=True)


def machine(table, figures):
    for name in ["tcp_stream", "tls_stream", "zmq_unix_stream", "sha256", "durable_write",
                 "page_cache_write", "fresh_page_write", "memory_read/threads:1", "memory_read/threads:2", "mapped_read"]:
        figure = figures["machine/" + name]
        table.add(name, figure["rate"], f"{figure['rate'] / GB:.2f} GB/s, {figure['cpu']:.2f} s/GB")
    sync = figures["machine/small_sync"]["seconds"]
    table.add("small_sync", sync, f"{sync * 1e3:.2f} ms")


def parts(table, figures):
    upload = figures["ours/upload"]
    share = upload["rate"] / figures["machine/tls_stream"]["rate"]
    table.add("upload / raw TLS stream", share, f"{share:.2f}  ({upload['rate'] / GB:.2f} GB/s)",
              "at least 0.3", 0.3, at_least=True)
    table.add("upload, CPU of both ends", upload["cpu"], f"{upload['cpu']:.2f} s/GB",
              "at most 5 s/GB", 5)
    for name, what in [("plan_warm", "1000 jobs x 1000 sites"),
                       ("plan_after_a_changed_advert", "the same, one advert changed")]:
        seconds = figures["ours/" + name]["cpu_seconds"]
        table.add(f"plan, {what}", seconds, f"{seconds * 1e3:.1f} ms CPU", "at most 100 ms", 0.1)
    read = figures["machine/mapped_read"]
    for rule, aim in [("fedavg", 0.8), ("median", 0.5), ("trimmed_mean", 0.5), ("krum", 0.5),
                      ("bulyan", None)]:
        figure = figures["ours/aggregate/" + rule]
        share = figure["rate"] / read["rate"]
        table.add(f"{rule}, 10 x 100 MB / reading them", share,
                  f"{share:.2f}  ({figure['seconds'] * 1e3:.0f} ms)",
                  aim and f"at least {aim}", aim, at_least=True)
    merge = figures["ours/merge_files"]
    table.add("fedavg from files to the next model's file", merge["seconds"],
              f"{merge['seconds'] * 1e3:.0f} ms, {merge['cpu_seconds'] * 1e3:.0f} ms CPU")


def training(table, programs):
    results = []
    for name in ["lenet", "mlp"]:
        done = subprocess.run([f"{programs}/bench_training", name], stdout=subprocess.PIPE,
                              text=True, env={**os.environ, "OMP_NUM_THREADS": "1",
                                              "OPENBLAS_NUM_THREADS": "1"})
        if done.returncode != 0:
            sys.exit(done.returncode)
        result = json.loads(done.stdout)
        results.append(result)
        share = result["examples_per_second"] / result["direct_examples_per_second"]
        table.add(f"training {name} / the same loop in LibTorch", share,
                  f"{share:.2f}  ({result['examples_per_second']:.0f} examples/s)",
                  "at least 0.95", 0.95, at_least=True)
    return results


def rounds(table, figures, programs, quick):
    aims = {(2, 0): 0.010, (2, 1): 0.025, (8, 100): 5.0, (8, 400): 20.0}
    plan = [(2, 0, 60), (2, 1, 40), (8, 100, 5)] + ([] if quick else [(8, 400, 4), (16, 1000, 2)])
    results = []
    for sites, megabytes, count in plan:
        result = run_rounds(programs, "round", "--sites", sites, "--mb", megabytes,
                            "--rounds", count + 1)
        results.append(result)
        name = f"round, {sites} x {megabytes} MB" if megabytes else f"empty round, {sites} sites"
        aim = aims.get((sites, megabytes))
        table.add(name, result["seconds"],
                  f"{result['seconds'] * 1e3:.0f} ms, {result['cpu_seconds'] * 1e3:.0f} ms CPU",
                  aim and f"at most {aim * 1e3:.0f} ms", aim)
        if megabytes >= 100:
            bound = bound_of_round(figures, sites, result["model_bytes"])
            ratio = result["seconds"] / bound
            table.add("  against the bound of this machine", ratio,
                      f"{ratio:.2f}  (bound {bound:.2f} s)", "at most 1.5", 1.5)
            for what, extra in [
                    ("with libzmq", {"with_zmq": True}),
                    ("with libzmq and fresh pages",
                     {"with_zmq": True, "write": "fresh_page_write"})]:
                bound = bound_of_round(figures, sites, result["model_bytes"], **extra)
                ratio = result["seconds"] / bound
                table.add(f"  against that bound {what}", ratio,
                          f"{ratio:.2f}  (bound {bound:.2f} s)")
        memory = result["broker_anonymous_bytes"]
        table.add("  broker's anonymous memory", memory, f"{memory / MB:.0f} MB", "at most 128 MB",
                  128 * MB)
    return results


def control(table, programs):
    result = run_rounds(programs, "control", "--sites", 4, "--mb", 100)
    for key, what, aim in [("read_seconds", "nothing committed", 0.020),
                           ("commit_seconds", "a commit", 0.060)]:
        p99 = result[key]["p99"]
        table.add(f"request under load, p99, {what}", p99,
                  f"{p99 * 1e3:.1f} ms, median {result[key]['median'] * 1e3:.1f}",
                  f"at most {aim * 1e3:.0f} ms", aim)
    return result


def submits(table, programs):
    result = run_rounds(programs, "submits")
    table.add(f"durable submissions, {result['clients']} clients", result["per_second"],
              f"{result['per_second']:.0f}/s, median {result['median_seconds'] * 1e3:.0f} ms",
              "at least 200/s", 200, at_least=True)
    return result


def idle(table, programs, sites):
    result = run_rounds(programs, "idle", "--sites", sites)
    table.add(f"{sites} idle sites, memory each", result["bytes_per_site"],
              f"{result['bytes_per_site'] / 1024:.0f} KiB", "at most 64 KiB", 64 * 1024)
    table.add(f"{sites} idle sites, CPU", result["cores"], f"{result['cores'] * 100:.1f} % of a core")
    return result


def main():
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__.split("\n")[0])
    parser.add_argument("--programs", default="build/bench/bin", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    parser.add_argument("sections", nargs="*", metavar="SECTION",
                        help=f"some of: {', '.join(SECTIONS)}")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    wanted = set(options.sections or SECTIONS)
    if wanted & {"parts", "rounds"}:
        wanted.add("machine")  # what ours is held against

    table = Table()
    report = {"cores": CORES, "rows": table.rows}
    seconds = 0.5 if options.quick else 2
    figures = {}
    if "machine" in wanted:
        print(f"this machine, {CORES} cores")
        figures.update(run_parts(options.programs, "^machine/", seconds))
        machine(table, figures)
    if "parts" in wanted:
        print("parts of Entente")
        figures.update(run_parts(options.programs, "^ours/", seconds))
        parts(table, figures)
    if "training" in wanted:
        print("the built-in trainer, one thread")
        report["training"] = training(table, options.programs)
    if "rounds" in wanted:
        print("whole rounds, every process on this machine")
        report["rounds"] = rounds(table, figures, options.programs, options.quick)
    if "control" in wanted:
        print("requests while uploads keep the machine busy")
        report["control"] = control(table, options.programs)
    if "submits" in wanted:
        print("jobs submitted by many at once")
        report["submits"] = submits(table, options.programs)
    if "idle" in wanted:
        print("sites with nothing to do")
        report["idle"] = idle(table, options.programs, 200 if options.quick else 1000)
    report["figures"] = figures
    os.makedirs("bench", exist_ok=True)
    with open("bench/report.json", "w") as out:
        json.dump(report, out, indent=2)
    print("written to bench/report.json")


if __name__ == "__main__":
    main()
