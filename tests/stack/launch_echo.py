"""Does what `portrait up` does, with the echo model instead of the real ones: launch_echo.py STACK_FOLDER."""

import sys
from pathlib import Path

from deploy.local.launch import Plan, launched

MODELS = Path(__file__).with_name("models")

if __name__ == "__main__":
    plan = Plan(repository=MODELS, models=("echo",))
    with launched(Path(sys.argv[1]), plan, lambda service, doing: print(service, doing, flush=True)):
        print("all ready", flush=True)
