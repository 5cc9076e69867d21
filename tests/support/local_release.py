"""Releases of a local stack after the first one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from local_stack.deploy import upload_template
from local_stack.processes import becomes_true
from local_stack.stack import LocalStack
from local_stack.template_file import Template
from release.stamp import stamped

STACK = "roadmap"
_BUCKET = "releases"


@contextmanager
def deployed(
    stack: LocalStack, release: str, change: Callable[[Template], None]
) -> Iterator[Callable[[], None]]:
    """Deploy a changed template as the next release; yield the function that deploys the former one again.

    As on AWS, each deployment publishes a version of every function and of the state machine, and moves their
    aliases to these.
    """
    stack.client("s3").create_bucket(Bucket=_BUCKET)
    template = _template(stack)
    changed = stamped(template, release)
    change(changed)
    _update(stack, changed)
    again = stamped(template, f"after-{release}")
    try:
        yield lambda: _update(stack, again)
    finally:
        if _template(stack) != again:
            _update(stack, again)


def _template(stack: LocalStack) -> Template:
    client = stack.client("cloudformation")
    template: Template = client.get_template(StackName=STACK, TemplateStage="Original")["TemplateBody"]
    return template


def _update(stack: LocalStack, template: Template) -> None:
    client = stack.client("cloudformation")

    def described() -> dict[str, Any]:
        found: list[dict[str, Any]] = client.describe_stacks(StackName=STACK)["Stacks"]
        return found[0]

    client.update_stack(
        StackName=STACK,
        TemplateURL=upload_template(template, stack.client("s3"), _BUCKET),
        Parameters=described()["Parameters"],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    assert becomes_true(lambda: not described()["StackStatus"].endswith("_IN_PROGRESS"), 600)
    assert described()["StackStatus"] == "UPDATE_COMPLETE"
