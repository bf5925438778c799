"""Applies mutations to a copy of the tree and asks the tests whether they notice.

    mutate.py [engine | product] [WORD ...]
    mutate.py laws [WORD ...]
    mutate.py corpus

engine: those of tests/mutations/engine.toml, each built by itself. The laws are asked first, then the unit tests of the
engine, and the first red test ends the mutation.

product: those of tests/mutations/product.toml. Whatever they touch is built for minutes, so all of them are built at once,
each behind a switch in the environment, and the suite that an entry names is run with one switch on.

laws: those of tests/mutations/engine.toml until each law in memory has been red by one of them, whatever others say.

corpus: plants the fault beside each seed of the laws' corpus, and puts the seed of a world that catches it today in its
place. For after a change of the generators.

A mutation whose old text is not found exactly once, or that does not compile, is a fault of the list and fails the run.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
LISTS = ROOT / "tests" / "mutations"
# The copy and what is built of it; the target folder of the repository itself is left alone.
PLACE = ROOT / "target" / "mutate"
ENGINE = pathlib.Path("crates/permission/src")
RATE_MIN = 0.95
# A mutation that makes something run for ever is noticed by how much longer it takes than the suite as it is, by the clock
# on the wall, and not within the seconds that a machine that is busy elsewhere may take for anything.
TIMES_MAX = 4
SECONDS_MIN = 300
# What a suite as it is ends within.
SUITE_SECONDS_MAX = 3_600
# How often it is looked whether a law has kept a seed.
LOOK_SECONDS = 0.2
# The copied crates are built anew for each mutation, so what counts is how fast they compile.
QUICK = ["revisit-permission", "revisit-laws"]
LAWS = ["revisit-laws", "--test", "memory"]
# The oracle notices most, so it is asked alone first. The mix is about the generated worlds, whatever the engine says, and
# so is what their corpus was kept for.
ABOUT_WORLDS = ["--skip", "mix::every_feature", "--skip", "corpus::"]
SUITES = [
    ("tests/laws", LAWS, ["oracle::"]),
    ("tests/laws", LAWS, ["--skip", "oracle::", *ABOUT_WORLDS]),
    ("crates/permission", ["revisit-permission", "--lib"], []),
]
# What has to notice a mutation of the product: the folder that it runs in, the binary, and its arguments.
IT = ("tests", "it")
PERMISSION = ("crates/permission", "revisit_permission")
IDENTITY = ("services/identity", "revisit_identity")
PRODUCT = {
    "verifier": (*IDENTITY, ["domain::verifier::", "domain::chain::"]),
    "alerts": (*IDENTITY, ["domain::alert::"]),
    "validation": (*PERMISSION, ["validate::"]),
    "escalation": (*PERMISSION, ["escalation::"]),
    "keeper": (*PERMISSION, ["lease::"]),
    "filters": (*PERMISSION, ["filter::"]),
    "veils": (*PERMISSION, ["veil::", "mask::"]),
    "lease": (".", "storm", ["lease", "--quick", "--binary", "none"]),
    "processes": (*IT, ["leases::"]),
    "tampering": (*IT, ["identity::tampering::"]),
    "checkpoints": (*IT, ["journeys::checkpoints::"]),
    "lists": (*IT, ["laws::"]),
    "interference": (*IT, ["interference::"]),
}
# Says in the environment which mutation of the product is switched on.
SWITCH = "REVISIT_BREAK"
# One of these is printed by whatever has tried anything.
TRIED = [re.compile(r"running (\d+) test"), re.compile(r"schedules=(\d+)")]
CORPUS = pathlib.Path("tests/laws/proptest-regressions/cases.txt")
SEED = re.compile(r"^cc [0-9a-f]{64}", re.MULTILINE)
# A fault that a world is kept for, or is to be. What proptest keeps by itself says instead what the world shrinks to: nobody
# knows which fault that was, and the line stays as it is.
LABEL = re.compile(r"^(?:cc [0-9a-f]{64}|# none yet) # (?!shrinks to )(.+)$")
GENERATORS = "# generators "
ENVIRONMENT = os.environ | {
    "CARGO_TARGET_DIR": str(PLACE / "target"),
    # The same worlds for each mutation and in each run, none kept and none shrunk: red is all that is asked.
    "PROPTEST_RNG_SEED": "1",
    "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "true",
    "PROPTEST_MAX_SHRINK_ITERS": "0",
    "RUST_BACKTRACE": "0",
}


class Fault(Exception):
    """Nothing can be said about a mutation, or about the code as it is."""


def limit(started):
    """How long a suite may take with a mutation when, as it is, it took from then until now."""
    return max(SECONDS_MIN, TIMES_MAX * (time.monotonic() - started))


def copy_tree():
    """A copy of the repository without what was built, all of it new to cargo: an ended run may have left a break."""
    tree = PLACE / "tree"
    shutil.rmtree(tree, ignore_errors=True)

    def left_out(folder, names):
        # Some packages have a folder of that name, too.
        data = {"data"} if pathlib.Path(folder) == ROOT else set()
        return set(names) & ({"target", ".git"} | data)

    shutil.copytree(ROOT, tree, ignore=left_out, symlinks=True, copy_function=shutil.copy)
    return tree


def cargo(tree, words, environment):
    """Builds tests and returns the binaries by the names of their targets."""
    command = ["cargo", *words, "--quiet", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    if built.returncode:
        told = [it["message"] for it in messages if it.get("reason") == "compiler-message"]
        texts = [it["rendered"] for it in told if it["level"] == "error"]
        raise Fault("\n".join(["it does not compile:", *texts, built.stderr]))
    return {it["target"]["name"]: it["executable"] for it in messages if it.get("executable")}


def build(tree, suite):
    """Builds a suite of the engine and returns its binary."""
    quick = [flag for name in QUICK for flag in ("--config", f"profile.dev.package.{name}.opt-level=0")]
    # One engine after the other is built from nearly the same text.
    environment = ENVIRONMENT | {"CARGO_INCREMENTAL": "1"}
    return next(iter(cargo(tree, [*quick, "test", "-p", *suite], environment).values()))


def first_red(folder, command, environment, seconds):
    """The first test that fails; nothing when all pass."""
    run = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    late = threading.Timer(seconds, run.kill)
    late.start()
    red, tried = None, 0
    for line in run.stdout:
        tried += sum(int(found[1]) for said in TRIED if (found := said.match(line)))
        if line.startswith("test ") and line.rstrip().endswith("FAILED"):
            red = line.split()[1]
            run.kill()
            break
    run.wait()
    late.cancel()
    if red:
        return red
    if run.returncode == -signal.SIGKILL:
        return "it never ended"
    if not tried:
        raise Fault(f"no test was run by {' '.join(command)}")
    if not run.returncode:
        return None
    # No stack is deep enough for rights that are delegated in a circle; a storm says by its code that it found something.
    return "it crashed" if run.returncode < 0 else "it failed"


def notice(tree, limits):
    """What notices the engine as it stands in the tree, each suite in its limit."""
    for (folder, suite, tests), seconds in zip(SUITES, limits):
        red = first_red(tree / folder, [build(tree, suite), *tests], ENVIRONMENT, seconds)
        if red:
            return red
    return None


def reds(folder, binary, tests, seconds):
    """All tests that fail. When one crashes or never ends, that says nothing about the others, and each is asked alone."""
    try:
        command = [binary, "--exact", *tests]
        run = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        run = None
    if run and run.returncode >= 0:
        failed = {line.split()[1] for line in run.stdout.splitlines() if line.startswith("test ") and line.endswith("FAILED")}
        return [test for test in tests if test in failed]
    return [test for test in tests if first_red(folder, [binary, "--exact", test], ENVIRONMENT, seconds)]


def laws(tree, words):
    """By which mutation each law is red; the code is 1 when one is red by none."""
    folder, binary = tree / "tests/laws", build(tree, LAWS)
    told = subprocess.run([binary, "--list", *ABOUT_WORLDS], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    waiting = [line.removesuffix(": test") for line in told.stdout.splitlines() if line.endswith(": test")]
    started = time.monotonic()
    red = reds(folder, binary, waiting, SUITE_SECONDS_MAX)
    if red:
        raise Fault(f"the engine as it is does not pass: {red}")
    seconds = limit(started)
    for mutation in chosen(listed("engine"), words):
        if not waiting:
            break
        file = tree / ENGINE / mutation["file"]
        source = file.read_text()
        file.write_text(mutated(source, mutation))
        red = reds(folder, build(tree, LAWS), waiting, seconds)
        file.write_text(source)
        for name in red:
            print(f"{name:60}  {mutation['rule']}", flush=True)
        waiting = [name for name in waiting if name not in red]
    for name in waiting:
        print(f"{name:60}  NEVER RED")
    return 1 if waiting else 0


def place(source, mutation):
    """Where the old text of a mutation begins in a file."""
    within = mutation.get("within", source)
    for text, around in ((within, source), (mutation["old"], within)):
        if around.count(text) != 1:
            found = around.count(text)
            raise Fault(f"{mutation['file']}: the old text of `{mutation['rule']}` is there {found} times")
    return source.index(within) + within.index(mutation["old"])


def mutated(source, mutation):
    """The text of a file after a mutation."""
    begin = place(source, mutation)
    return source[:begin] + mutation["new"] + source[begin + len(mutation["old"]) :]


def switched(source, mutations):
    """The text of a file with each of some numbered mutations behind its switch."""
    spots = {}
    for number, mutation in mutations:
        begin = place(source, mutation)
        spots.setdefault((begin, begin + len(mutation["old"])), []).append((number, mutation))
    end = len(source)
    for (begin, after), there in sorted(spots.items(), reverse=True):
        if after > end:
            raise Fault(f"{there[0][1]['file']}: the old text of `{there[0][1]['rule']}` overlaps with another one's")
        text = source[begin:after]
        statement = text.rstrip().endswith(";")
        for number, mutation in there:
            on = f'std::env::var_os("{SWITCH}").is_some_and(|it| it == "{number}")'
            text = f"if {on} {{ {mutation['new']} }} else {{ {text} }}"
            text = text if statement else f"({text})"
        source, end = source[:begin] + text + source[after:], begin
    return source


def say(mutation, started, verdict):
    where = mutation.get("suite", mutation["file"])
    print(f"{time.monotonic() - started:5.0f} s  {where:12}  {mutation['rule']:70}  {verdict}", flush=True)


def chosen(mutations, words):
    named = [(it, f"{it.get('suite', '')} {it['file']} {it['rule']}") for it in mutations]
    return [it for it, name in named if not words or any(word in name for word in words)]


def listed(name):
    return tomllib.loads((LISTS / f"{name}.toml").read_text())["mutation"]


def engine(tree, words):
    """The mutations of the engine, one build after the other; answers the verdicts."""
    mutations = listed("engine")
    # The whole list is read before hours are spent on a part of it.
    sources = {it["file"]: (tree / ENGINE / it["file"]).read_text() for it in mutations}
    for mutation in mutations:
        place(sources[mutation["file"]], mutation)
    if not chosen(mutations, words):
        return []
    limits = []
    for folder, suite, tests in SUITES:
        command = [build(tree, suite), *tests]
        started = time.monotonic()
        red = first_red(tree / folder, command, ENVIRONMENT, SUITE_SECONDS_MAX)
        if red:
            raise Fault(f"the engine as it is does not pass: {red}")
        limits.append(limit(started))
    verdicts = []
    for mutation in chosen(mutations, words):
        file, source = tree / ENGINE / mutation["file"], sources[mutation["file"]]
        file.write_text(mutated(source, mutation))
        started = time.monotonic()
        try:
            verdict = notice(tree, limits) or "SURVIVED"
        except Fault as fault:
            verdict = f"FAULT {fault}"
        file.write_text(source)
        say(mutation, started, verdict)
        verdicts.append(verdict)
    return verdicts


def product(tree, words):
    """The mutations of the product, all in one build; answers the verdicts."""
    mutations = listed("product")
    for number, mutation in enumerate(mutations):
        mutation["number"] = str(number)
        if mutation["suite"] not in PRODUCT:
            raise Fault(f"no suite is called {mutation['suite']}")
    sources = {it["file"]: (tree / it["file"]).read_text() for it in mutations}
    texts = {
        file: switched(source, [(it["number"], it) for it in mutations if it["file"] == file])
        for file, source in sources.items()
    }
    if not chosen(mutations, words):
        return []
    for file, text in texts.items():
        (tree / file).write_text(text)
    # Always the whole workspace: a part would unify other features and build everything once more.
    built = cargo(tree, ["test", "--workspace", "--lib", "--test", "it"], ENVIRONMENT | {"CARGO_INCREMENTAL": "0"})
    for file, source in sources.items():
        (tree / file).write_text(source)

    def red_in(suite, switch, seconds):
        folder, binary, arguments = PRODUCT[suite]
        return first_red(tree / folder, [built[binary], *arguments], ENVIRONMENT | switch, seconds)

    limits = {}
    for suite in dict.fromkeys(it["suite"] for it in chosen(mutations, words)):
        started = time.monotonic()
        red = red_in(suite, {}, SUITE_SECONDS_MAX)
        if red:
            raise Fault(f"{suite} does not pass as it is: {red}")
        limits[suite] = limit(started)
    verdicts = []
    for mutation in chosen(mutations, words):
        started = time.monotonic()
        try:
            suite, switch = mutation["suite"], {SWITCH: mutation["number"]}
            verdict = red_in(suite, switch, limits[suite]) or "SURVIVED"
        except Fault as fault:
            verdict = f"FAULT {fault}"
        say(mutation, started, verdict)
        verdicts.append(verdict)
    return verdicts


def caught(tree, corpus, command):
    """The seed of a world that breaks a law, of those that are kept; each is as good as the others."""
    keeping = {name: value for name, value in ENVIRONMENT.items() if name != "PROPTEST_DISABLE_FAILURE_PERSISTENCE"}
    run = subprocess.Popen(command, cwd=tree / "tests/laws", env=keeping, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found, ended = None, None
    while not found and ended is None:
        # Asked first whether it has ended: what it kept last is read after that.
        ended = run.poll()
        found = SEED.search(corpus.read_text())
        time.sleep(LOOK_SECONDS)
    run.kill()
    run.wait()
    return found and found[0]


def derive(tree):
    """Plants the fault beside each seed of the corpus, and writes the corpus anew."""
    mutations = {it["rule"]: it for it in listed("engine")}
    corpus, lines = tree / CORPUS, []
    for line in (ROOT / CORPUS).read_text().splitlines():
        if label := LABEL.match(line):
            rule = label[1]
            if rule not in mutations:
                raise Fault(f"{CORPUS}: no mutation of the engine is called `{rule}`")
            mutation = mutations[rule]
            file = tree / ENGINE / mutation["file"]
            source = file.read_text()
            file.write_text(mutated(source, mutation))
            corpus.write_text("")
            seed = caught(tree, corpus, [build(tree, LAWS), *ABOUT_WORLDS])
            file.write_text(source)
            if not seed:
                raise Fault(f"no law notices `{rule}`")
            line = f"{seed} # {rule}"
            print(line, flush=True)
        lines.append(line)
    corpus.write_text("\n".join(lines) + "\n")
    # What the generators draw is what a test says when it differs.
    said = subprocess.run([build(tree, LAWS), "corpus::"], cwd=tree / "tests/laws", env=ENVIRONMENT, capture_output=True, text=True)
    drawn = re.search(f"{GENERATORS}[0-9a-f]+", said.stdout + said.stderr)
    if said.returncode and drawn:
        lines = [drawn[0] if line.startswith(GENERATORS) else line for line in lines]
    (ROOT / CORPUS).write_text("\n".join(lines) + "\n")
    return 0


def main(words):
    groups = {"engine": engine, "product": product}
    tree = copy_tree()
    if words[:1] == ["corpus"]:
        return derive(tree)
    if words[:1] == ["laws"]:
        return laws(tree, words[1:])
    named = [words.pop(0)] if words[:1] and words[0] in groups else list(groups)
    verdicts = [verdict for name in named for verdict in groups[name](tree, words)]
    faults = sum(verdict.startswith("FAULT") for verdict in verdicts)
    survived = verdicts.count("SURVIVED")
    killed = len(verdicts) - survived - faults
    rate = killed / max(len(verdicts), 1)
    print(f"mutations={len(verdicts)} killed={killed} survived={survived} rate={rate:.3f}")
    if faults:
        raise Fault(f"of {faults} mutations nothing can be said")
    return 0 if verdicts and rate >= RATE_MIN else 1


try:
    sys.exit(main(sys.argv[1:]))
except Fault as fault:
    print(fault, file=sys.stderr)
    sys.exit(2)
