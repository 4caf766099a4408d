"""Write the snapshots again: ``python -m tests.snapshots``; the figures of import time with ``--import-time``."""

import argparse

from tests.snapshots.import_time import import_time
from tests.snapshots.snapshots import IMPORT_TIME, SNAPSHOTS, keep, made

parser = argparse.ArgumentParser(prog="python -m tests.snapshots", description=__doc__)
parser.add_argument("--import-time", action="store_true", help="measure import time instead")
if parser.parse_args().import_time:
    keep(IMPORT_TIME, import_time() + "\n")
else:
    for name in SNAPSHOTS:
        keep(name, made(name))
