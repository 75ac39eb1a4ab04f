"""One worker as its own process, to be killed: `python -m tests.integration.workflow.work SETTINGS.yaml`."""

import signal
import sys
from pathlib import Path
from threading import Event

from app.settings import load
from app.workflow import run_worker

if __name__ == "__main__":
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    run_worker(load(Path(sys.argv[1]), {}), stop)
