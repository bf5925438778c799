"""Applies each mutation of tests/mutations.toml to a copy of the tree and asks the tests whether they notice.

    mutate.py [WORD ...]

The laws are asked first, then the unit tests of the engine, and the first red test ends the mutation. A mutation whose old
text is not found exactly once, or that does not compile, is a fault of the list and fails the run.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = ROOT / "tests" / "mutations.toml"
# The copy and what is built of it; the target folder of the repository itself is left alone.
PLACE = ROOT / "target" / "mutate"
ENGINE = pathlib.Path("crates/permission/src")
RATE_MIN = 0.95
# A mutation that makes the engine run for ever is noticed by this.
TEST_SECONDS_MAX = 300
# The copied crates are built anew for each mutation, so what counts is how fast they compile.
QUICK = ["revisit-permission", "revisit-laws"]
# The oracle notices most, so it is asked alone first. The mix is about the generated worlds, whatever the engine says.
SUITES = [
    ("tests/laws", ["revisit-laws", "--test", "memory"], ["oracle::"]),
    ("tests/laws", ["revisit-laws", "--test", "memory"], ["--skip", "oracle::", "--skip", "mix::every_feature"]),
    ("crates/permission", ["revisit-permission", "--lib"], []),
]
ENVIRONMENT = os.environ | {
    "CARGO_TARGET_DIR": str(PLACE / "target"),
    # One engine after the other is built from nearly the same text.
    "CARGO_INCREMENTAL": "1",
    # The same worlds for each mutation and in each run, none kept and none shrunk: red is all that is asked.
    "PROPTEST_RNG_SEED": "1",
    "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "true",
    "PROPTEST_MAX_SHRINK_ITERS": "0",
    "RUST_BACKTRACE": "0",
}


class Fault(Exception):
    """Nothing can be said about a mutation, or about the engine as it is."""


def copy_tree():
    """A copy of the repository without what was built, all of it new to cargo: an ended run may have left a break."""
    tree = PLACE / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    left_out = shutil.ignore_patterns("target", ".git", "data")
    shutil.copytree(ROOT, tree, ignore=left_out, symlinks=True, copy_function=shutil.copy)
    return tree


def build(tree, suite):
    """Builds a suite and returns its binary."""
    quick = [flag for name in QUICK for flag in ("--config", f"profile.dev.package.{name}.opt-level=0")]
    command = ["cargo", *quick, "test", "--quiet", "--no-run", "--message-format=json", "-p", *suite]
    built = subprocess.run(command, cwd=tree, env=ENVIRONMENT, capture_output=True, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    if built.returncode:
        texts = [message["message"]["rendered"] for message in messages if message.get("message")]
        raise Fault("\n".join(["it does not compile:", *texts, built.stderr]))
    return next(message["executable"] for message in messages if message.get("executable"))


def first_red(tree, folder, suite, tests):
    """The first test of a suite that fails; nothing when all pass."""
    command = [build(tree, suite), *tests]
    run = subprocess.Popen(command, cwd=tree / folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    late = threading.Timer(TEST_SECONDS_MAX, run.kill)
    late.start()
    red = None
    for line in run.stdout:
        if line.startswith("test ") and line.rstrip().endswith("FAILED"):
            red = line.split()[1]
            run.kill()
            break
    run.wait()
    late.cancel()
    if red or not run.returncode:
        return red
    # No stack is deep enough for rights that are delegated in a circle.
    return "it never ended" if run.returncode == -signal.SIGKILL else "it crashed"


def notice(tree):
    """What notices the engine as it stands in the tree."""
    return next(filter(None, (first_red(tree, *suite) for suite in SUITES)), None)


def mutated(source, mutation):
    """The text of a file after a mutation."""
    found = source.count(mutation["old"])
    if found != 1:
        raise Fault(f"{mutation['file']}: the old text of `{mutation['rule']}` is there {found} times")
    return source.replace(mutation["old"], mutation["new"])


def main(words):
    mutations = tomllib.loads(LIST.read_text())["mutation"]
    chosen = [it for it in mutations if not words or any(word in f"{it['file']} {it['rule']}" for word in words)]
    tree = copy_tree()
    # The whole list is read before hours are spent on a part of it.
    sources = {it["file"]: (tree / ENGINE / it["file"]).read_text() for it in mutations}
    for mutation in mutations:
        mutated(sources[mutation["file"]], mutation)
    red = notice(tree)
    if red:
        raise Fault(f"the engine as it is does not pass: {red}")
    survived, faults = 0, 0
    for mutation in chosen:
        file, source = tree / ENGINE / mutation["file"], sources[mutation["file"]]
        file.write_text(mutated(source, mutation))
        started = time.monotonic()
        try:
            verdict = notice(tree) or "SURVIVED"
        except Fault as fault:
            verdict = f"FAULT {fault}"
        file.write_text(source)
        survived += verdict == "SURVIVED"
        faults += verdict.startswith("FAULT")
        seconds = time.monotonic() - started
        print(f"{seconds:5.0f} s  {mutation['file']:12}  {mutation['rule']:60}  {verdict}", flush=True)
    killed = len(chosen) - survived - faults
    rate = killed / max(len(chosen), 1)
    print(f"mutations={len(chosen)} killed={killed} survived={survived} rate={rate:.3f}")
    if faults:
        raise Fault(f"of {faults} mutations nothing can be said")
    return 0 if chosen and rate >= RATE_MIN else 1


try:
    sys.exit(main(sys.argv[1:]))
except Fault as fault:
    print(fault, file=sys.stderr)
    sys.exit(2)
