"""`python -m benchmarks.cold`: the processor time of each function's import, in fresh processes.

Each function as it is deployed: its `app.py`, the built layers with their `.pyc` files, and the packages of
the Lambda runtime. Each value comes from a new process, in turn; for comparison, that of a *lean lab set*
(SQLAlchemy Core, pg8000, the Powertools logger and one pydantic model). The time in which Lambda prepares its
sandbox and downloads the code is not included, nor that of connecting.
"""

import os
import subprocess
from functools import partial

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.layers import build_layers
from local_stack.template_file import of_type, read_template

from .measuring import Trial, in_turn, median_ratio
from .report import Limit, arguments_of, show_limits, show_machine, show_values

ROUNDS = 7
LAB = "lean lab set"
SAVER = "SaveBatchFunction"

LAB_SET = """
import sqlalchemy, pg8000.dbapi
from aws_lambda_powertools import Logger
from pydantic import BaseModel
class Model(BaseModel):
    number: int
"""

_RUN = """
import os, time
begun = time.process_time()
exec(os.environ["STATEMENT"])
print(time.process_time() - begun)
"""


def _seconds(statement: str, path: list[str]) -> float:
    """The processor time of a statement in a fresh process."""
    done = subprocess.run(
        [environment_python("runtime"), "-c", _RUN],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(path), "STATEMENT": statement},
        check=True,
        stdout=subprocess.PIPE,  # a traceback is shown
        text=True,
        timeout=60,
    )
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    arguments = arguments_of(__doc__ or "", rounds=ROUNDS)
    layers = {name: str(folder / "python") for name, folder in build_layers().items()}
    trials: dict[str, Trial] = {LAB: partial(_seconds, LAB_SET, [layers["CommonLayer"]])}
    functions = of_type(read_template(REPOSITORY / "template.yaml"), "AWS::Serverless::Function")
    for name, properties in functions.items():
        others = [layers[layer["Ref"]] for layer in properties.get("Layers", [])]
        path = [str(REPOSITORY / properties["CodeUri"]), layers["CommonLayer"], *others]
        trials[name] = partial(_seconds, "import app", path)
    imports = in_turn(trials, arguments.rounds)
    imported = {name: {1: seconds} for name, seconds in imports.items()}
    show_values("Import, in a fresh process", "process", imported, LAB)
    show_machine("SQLAlchemy", "pg8000", "pydantic", "aws-lambda-powertools")
    saver = Limit(
        "import of the saver, as a multiple of the lean lab set's",
        median_ratio(imports[SAVER], imports[LAB]),
        250 / 254,
        reason="It imports its own modules besides the packages of the set.",
    )
    show_limits([saver], room=0.6 if arguments.short else None)


if __name__ == "__main__":
    main()
