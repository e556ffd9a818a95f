"""Runs all situations, or those named."""

import config_files  # noqa: F401
import credentials  # noqa: F401
import drop_in  # noqa: F401
import endpoints  # noqa: F401
import openssh  # noqa: F401
import roles  # noqa: F401
import stand_in  # noqa: F401
import usage  # noqa: F401
from checks import main

# They mostly wait, so several run at once.
main(jobs=4)
