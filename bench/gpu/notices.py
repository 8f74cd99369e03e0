"""What suite and entmax must not pass over, done to them without a GPU: `scripts/gpu.sh dry` runs it. Exit code 77 where
all of it is noticed."""
import contextlib
import io
import json
import os
import pathlib
import stat
import sys
import tempfile
import types

import driver
import entmax
import suite

TEST = """#!/bin/sh
case "$1" in
  --list-test-names-only) printf '%s\\n' {cases} ;;
  passes) [ "$LACUNA_DEVICE" = cuda ] && [ -n "$LACUNA_SEED" ] ;;
  fails) echo wrong; exit 1 ;;
  silent) echo 'skipped: no GPU' ;;
  hangs) exec sleep 60 ;;
esac
"""


def code_of(main, *arguments):
    """Its exit code, and what it printed."""
    sys.argv, printed = [main.__module__, *arguments], io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
    return code, printed.getvalue()


def expect(what, found, wanted, printed):
    print(f"-- {what}: {found}")
    if found != wanted:
        sys.exit(f"!! it should be {wanted}:\n{printed}")


def run_suite(folder, cases):
    """(exit code, {case: what came of it}) of a bundle of one shell script on a stand-in for a GPU."""
    suite.PROGRAMS = ("script",)
    path = pathlib.Path(folder, "script")
    path.write_text(TEST.format(cases=" ".join(cases)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    os.environ["OUT"] = folder
    stand_in, suite.driver.Driver = driver.Driver, lambda: types.SimpleNamespace(name=lambda: "a stand-in", version="0")
    try:
        code, printed = code_of(suite.main, folder, "--seeds", "1", "--seconds", "4")
    finally:
        suite.driver.Driver = stand_in
    name, = pathlib.Path(folder).glob("*-suite.json")
    runs = json.loads(name.read_text())["runs"]
    states = {row["case"]: "passed" if row["passed"] else "unfinished" if row["unfinished"] else "failed" for row in runs}
    return code, states, printed


def check_suite():
    for cases, code in ((["passes"], 0), (["passes", "fails"], 1), (["passes", "silent"], 1), (["passes", "hangs"], 1)):
        with tempfile.TemporaryDirectory() as folder:
            found, states, printed = run_suite(folder, cases)
        states_wanted = dict(passes="passed", fails="failed", silent="failed", hangs="unfinished")
        expect(f"suite of tests of which one {cases[-1]}", (found, states),
               (code, {case: states_wanted[case] for case in cases}), printed)


def check_entmax():
    """A program of another alpha than the case's, and a case that cannot be run at all."""
    of, cases = entmax.Programs.of, entmax.cases
    entmax.cases = lambda backend, options: cases(backend, options)[1:2]
    try:
        entmax.Programs.of = lambda self, case, **more: of(self, dict(case, alpha=case["alpha"] - 0.1), **more)
        code, printed = code_of(entmax.main)
        expect("entmax of another alpha", (code, printed.count("!! ")), (1, 3), printed)  # with sparsity, by the short route, by tiles
        entmax.Programs.of = lambda self, case, **more: of(self, dict(case, head_dim=7), **more)
        code, printed = code_of(entmax.main)
        expect("entmax of a case that does not run", code, 1, printed)
    finally:
        entmax.Programs.of, entmax.cases = of, cases
    code, printed = code_of(entmax.main)
    expect("entmax as it is", code, driver.SKIPPED, printed)


if __name__ == "__main__":
    try:
        driver.Driver()
    except driver.Missing:
        check_suite()
        check_entmax()
        sys.exit(driver.SKIPPED)
    sys.exit("!! it is for where there is no GPU")
