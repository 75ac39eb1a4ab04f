"""One worker as its own process, to be killed: `python -m tests.integration.workflow.work SETTINGS.yaml [VERSION]`.

With a version it runs the workflows under that one, as an older or newer program would.
"""

import signal
import sys
from pathlib import Path
from threading import Event

from app import workflow_database
from app.settings import load
from app.workflow import run_worker

if __name__ == "__main__":
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    workflow_database.VERSION = (*sys.argv, workflow_database.VERSION)[2]
    run_worker(load(Path(sys.argv[1]), {}), stop)
