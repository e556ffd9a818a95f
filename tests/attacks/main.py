"""Runs all attacks, or those named."""

import behaviour  # noqa: F401
import leaks  # noqa: F401
import memory  # noqa: F401
from checks import main

# One at a time: memory and processor time are measured.
main(jobs=1)
