"""Runs all attacks, or those that are named."""

import behaviour  # noqa: F401
import leaks  # noqa: F401
import memory  # noqa: F401
from checks import main

# One after the other: memory and processor time are looked at.
main(jobs=1)
