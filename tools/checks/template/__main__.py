"""`python -m checks.template [--every-value]`: run all checks of the template and print their findings.

The deployments are the environments of samconfig.toml; with `--every-value`, also one of them with each value
of each parameter.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from local_stack.builds import REPOSITORY
from local_stack.steps import console, step
from local_stack.template_file import read_template

from .deployments import deployments_of, environments_of
from .findings import Finding
from .linters import lint_state_machine, lint_with_cfn_lint, lint_with_checkov
from .transformed import check_transformed

TEMPLATE = REPOSITORY / "template.yaml"
OTHER_TEMPLATES = (REPOSITORY / "database/template.yaml", REPOSITORY / "deployment/role.yaml")
DEFINITIONS = sorted((REPOSITORY / "statemachine").glob("*.asl.json"))


def main(*, every_value: bool = False) -> int:
    """Run all checks; return the exit code."""
    deployments = deployments_of if every_value else environments_of
    template = read_template(TEMPLATE)
    checks: Mapping[str, Callable[[], Iterator[Finding]]] = {
        "every deployment, after SAM's transform": lambda: check_transformed(
            [(template, deployed) for deployed in deployments(template, REPOSITORY / "samconfig.toml")]
        ),
        "cfn-lint": lambda: lint_with_cfn_lint(TEMPLATE),
        "checkov": lambda: lint_with_checkov(TEMPLATE, template),
        "the templates of the database and of the deploying role": lambda: chain.from_iterable(
            map(_lint_other, OTHER_TEMPLATES)
        ),
        "asl-validator and statelint": lambda: chain.from_iterable(map(lint_state_machine, DEFINITIONS)),
    }
    found: list[Finding] = []
    for name, check in checks.items():
        with step(name):
            findings = list(check())
        for finding in findings:
            console.print("    [red]fault[/red] ", end="")
            console.print(str(finding), markup=False, soft_wrap=True)
        found += findings
    console.print(
        f"[red]{len(found)} faults[/red]" if found else f"[green]{len(checks)} checks passed[/green]"
    )
    return 1 if found else 0


def _lint_other(path: Path) -> Iterator[Finding]:
    yield from lint_with_cfn_lint(path)
    yield from lint_with_checkov(path, read_template(path))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m checks.template", description=__doc__)
    arguments.add_argument("--every-value", action="store_true", help="each value of each parameter")
    sys.exit(main(every_value=arguments.parse_args().every_value))
