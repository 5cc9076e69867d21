"""The deployed state machine with its alias, for tests that change its definition."""

from typing import Any


class PublishedMachine:
    """A state machine whose executions are started with the alias `live`, or without one."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    @property
    def definition(self) -> str:
        """The current definition."""
        return str(self._client.describe_state_machine(stateMachineArn=self._arn)["definition"])

    def redefine(self, definition: str) -> None:
        """Change it for future executions, with the alias and without."""
        self._client.update_state_machine(stateMachineArn=self._arn, definition=definition)
        version = self._client.publish_state_machine_version(stateMachineArn=self._arn)
        self._client.update_state_machine_alias(
            stateMachineAliasArn=f"{self._arn}:live",
            routingConfiguration=[
                {"stateMachineVersionArn": version["stateMachineVersionArn"], "weight": 100}
            ],
        )
