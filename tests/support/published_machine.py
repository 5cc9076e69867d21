"""The deployed state machine with its alias, for tests that change its definition."""

from typing import Any


class PublishedMachine:
    """A state machine for executions that are started with the alias `live`, or without one.

    Its definition names versions of functions, as a release does it.
    """

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn

    @property
    def definition(self) -> str:
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

    def change_function(self, functions: Any, name: str, **configuration: Any) -> None:
        """Publish a version of a function with another configuration, and let future executions use it.

        `functions` is a client of Lambda.
        """
        functions.update_function_configuration(FunctionName=name, **configuration)
        live = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
        version = functions.publish_version(FunctionName=name)["Version"]
        self.redefine(self.definition.replace(f":{name}:{live}", f":{name}:{version}"))
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
