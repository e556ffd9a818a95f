"""Checks: functions whose names are promises. A check that returns has passed."""

import concurrent.futures
import os
import sys
import time
import traceback

# Only catches a machine that hangs; no check asserts how long something took.
PATIENCE = 120

_checks = []


class Skipped(Exception):
    """The check needs what this machine cannot do; only privileges count as that."""


def check(function):
    """Adds a check to the run."""
    _checks.append(function)
    return function


def eventually(what, found, patience=PATIENCE):
    """The first true value of `found`."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {patience} s")


def equal(found, expected, about=""):
    """`found == expected`, or both are shown."""
    assert found == expected, f"{found!r} is not {expected!r}\n{about}"


def _run(function):
    try:
        function()
    except Skipped as reason:
        return function, "skipped", str(reason)
    except AssertionError as failure:
        return function, "FAILED", str(failure) or traceback.format_exc()
    except Exception:
        return function, "FAILED", traceback.format_exc()
    return function, "ok", ""


def main(jobs):
    """Runs the checks that are named on the command line, or all of them; never returns."""
    names = sys.argv[1:]
    if names == ["--list"]:
        print("\n".join(function.__name__ for function in _checks))
        sys.exit(0)
    unknown = set(names) - {function.__name__ for function in _checks}
    if unknown:
        sys.exit(f"there is no check {', '.join(sorted(unknown))}; --list lists them")
    chosen = [it for it in _checks if not names or it.__name__ in names]
    counts = {"ok": 0, "FAILED": 0, "skipped": 0}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for function, outcome, text in pool.map(_run, chosen):
            counts[outcome] += 1
            print(f"{outcome:7} {function.__name__}", flush=True)
            if text:
                print("        | " + "\n        | ".join(text.strip().splitlines()[:25]), flush=True)
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['ok']} passed, {counts['FAILED']} failed{skipped}", flush=True)
    # Threads that read from a program that hangs do not keep this one.
    sys.stdout.flush()
    os._exit(1 if counts["FAILED"] or not chosen else 0)
