"""Access to the model of Bedrock."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from documents.cost import tokens_of_a_slot

from ..clients import Clients
from . import quotas
from .problem import Problem, Target

_EXPECTED = {
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "regionAvailability": "AVAILABLE",
}
_PROFILE = "aws bedrock list-inference-profiles --query 'inferenceProfileSummaries[].inferenceProfileId'"
_MODELS = "aws bedrock list-foundation-models --query 'modelSummaries[].modelId'"


def check(clients: Clients, target: Target) -> Iterator[Problem]:
    """Read the model, or the models of the inference profile, and decide."""
    parameters = target.parameters
    if parameters["Generator"] != "bedrock":
        return
    yield from problems_of_spend(parameters)
    region = parameters["ModelRegion"]
    client = clients("bedrock", region)
    name, allowed = parameters["ModelId"], target.values("ModelArns")
    profile = _find(lambda: client.get_inference_profile(inferenceProfileIdentifier=name))
    if profile is not None:
        arns = [profile["inferenceProfileArn"], *(each["modelArn"] for each in profile["models"])]
        yield from problems_of_arns(name, arns, allowed)
        name = arns[-1].rpartition("/")[2]
    model = _find(lambda: client.get_foundation_model(modelIdentifier=name))
    if profile is None:
        if model is None:
            yield Problem(
                f"ModelId: {region or target.region} has no model and no inference profile {name!r}",
                f"{_MODELS}; {_PROFILE}",
            )
            return
        yield from problems_of_arns(name, [model["modelDetails"]["modelArn"]], allowed)
    availability = client.get_foundation_model_availability(modelId=name)
    yield from problems_of_access(name, availability)
    known_as = model["modelDetails"].get("modelName") if model is not None else None
    if known_as:
        pages = clients("service-quotas", region).get_paginator("list_service_quotas")
        listed = [quota for page in pages.paginate(ServiceCode="bedrock") for quota in page["Quotas"]]
        given = {quota["QuotaName"]: quota["Value"] for quota in listed}
        yield from quotas.problems_of(known_as, given, parameters)


def problems_of_spend(parameters: Mapping[str, str]) -> Iterator[Problem]:
    """Decide whether the alarm of spend can be raised: all slots at work must use more than its limit."""
    slots, batch_size = int(parameters["GeneratorConcurrency"]), int(parameters["BatchSize"])
    reachable = int(slots * tokens_of_a_slot(batch_size))
    if slots and int(parameters["TokensPerHour"]) > reachable:
        yield Problem(
            f"TokensPerHour is {parameters['TokensPerHour']}, and {slots} slots use about {reachable} tokens "
            "in an hour: its alarm would never be raised",
            "TokensPerHour of a little more than your busiest hour; at least TaskTokenBudget",
        )


def problems_of_arns(name: str, needed: Sequence[str], allowed: Sequence[str]) -> Iterator[Problem]:
    """Decide whether the functions may invoke everything that the id leads to."""
    if missing := [arn for arn in needed if arn not in allowed]:
        yield Problem(
            f"ModelArns lacks what {name} invokes: {', '.join(missing)}",
            f"ModelArns={','.join(needed)}",
        )


def problems_of_access(name: str, availability: Mapping[str, Any]) -> Iterator[Problem]:
    """Decide whether the account may invoke a model."""
    refused = [
        f"{key} is {availability.get(key)}"
        for key, expected in _EXPECTED.items()
        if availability.get(key) != expected
    ]
    if (agreement := availability["agreementAvailability"]["status"]) != "AVAILABLE":
        refused.append(f"agreementAvailability is {agreement}")
    if refused:
        yield Problem(
            f"the account has no access to {name}: {', '.join(refused)}",
            f"aws bedrock list-foundation-model-agreement-offers --model-id {name}, then "
            "aws bedrock create-foundation-model-agreement (or Bedrock's console, Model access)",
        )


def _find(ask: Any) -> Any:  # noqa: ANN401 - an operation of a client, and its answer
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFoundException", "ValidationException"):
            return None
        raise
