"""Find the AWS operations and settings that each function's code can reach.

The code is fully typed, so its types identify the calls: `self._bucket.put(…)` is `Bucket.put`, and
`self._client.put_object(…)` in it is an operation of S3. The types come from mypy. Symbols (functions,
methods, classes, module variables) are the nodes of a graph; references in their definitions are its edges. A
function reaches everything that is reachable from its `app.py`. The result may contain more than the function
calls, but never less, except for calls by computed names. Generators and content types are loaded so
(`_LOADED_BY_NAME`); offline drafts ask no service.

A function in a field of an object is reached where the field is used, by those who also reach the symbol that
makes the object: a hook of a capability is reached only in a function that composes the capability.
"""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import botocore.session
from botocore import xform_name
from mypy.build import BuildResult, build
from mypy.config_parser import parse_config_file
from mypy.modulefinder import BuildSource
from mypy.nodes import (
    AssignmentStmt,
    CallExpr,
    ClassDef,
    Decorator,
    Expression,
    ExpressionStmt,
    FuncDef,
    LambdaExpr,
    MemberExpr,
    NameExpr,
    Node,
    OverloadedFuncDef,
    RefExpr,
    StrExpr,
    TupleExpr,
    TypeInfo,
)
from mypy.options import Options
from mypy.server.subexpr import get_subexpressions
from mypy.types import (
    AnyType,
    CallableType,
    Instance,
    Overloaded,
    TupleType,
    Type,
    TypeType,
    TypeVarType,
    UnionType,
    get_proper_type,
)

from local_stack.builds import LOCAL, REPOSITORY, build_once, fingerprint

_OURS = ("functions.", "roadmap_content.", "migrations.")
_LAYER = REPOSITORY / "layers/common"

_GENERATION = "roadmap_content.content.generation"
_LOADED_BY_NAME: Mapping[str, str] = {
    f"{_GENERATION}.generator.generator_named": f"{_GENERATION}.*.create",
    "roadmap_content.content.registry.CONTENT_KINDS": "roadmap_content.content.*.KIND",
}
"""The symbol that imports modules by their names, and the names that it uses."""

_SETTING = re.compile(r"[A-Z][A-Z0-9_]{3,}")


def _reads_settings(symbol: str) -> bool:
    """Whether a text of this form in a symbol is the name of a variable: in the settings, or in a handler."""
    return "settings" in symbol.lower() or symbol.startswith("functions.")


class Operation(NamedTuple):
    """A method of a boto3 client."""

    service: str
    method: str


class Reached(NamedTuple):
    """The reachable operations, settings and symbols of a function."""

    operations: frozenset[Operation]
    settings: frozenset[str]
    symbols: frozenset[str] = frozenset()


class Analysis:
    """The graph of all functions and the layer."""

    def __init__(self, result: BuildResult) -> None:
        self._types = result.types
        self.stubs = {name.split(".")[0] for name in result.files if name.startswith("mypy_boto3_")}
        self.edges: dict[str, set[str]] = defaultdict(set)
        self.members: dict[str, set[tuple[str, str]]] = defaultdict(set)
        """By symbol: the members that it refers to, as (class, name)."""

        self.operations: dict[str, set[Operation]] = defaultdict(set)
        self.untyped: dict[str, set[str]] = defaultdict(set)
        """By symbol: the members of values without a type that it refers to."""

        self.clients: dict[str, set[str]] = defaultdict(set)
        """By symbol: the services for which it creates boto3 clients."""

        self.settings: dict[str, set[str]] = defaultdict(set)
        self.given: dict[str, set[str]] = defaultdict(set)
        """By field of a class: the symbols that make objects with a function in it."""

        self.fields: dict[str, set[str]] = defaultdict(set)
        """By symbol that makes objects: their fields with a function."""

        self.classes: dict[str, TypeInfo] = {}
        for name, tree in result.files.items():
            if f"{name}.".startswith(_OURS):
                for definition in tree.defs:
                    self._define(name, definition)

    def reach(self, roots: Iterable[str]) -> Reached:
        """Everything that is reachable from some symbols."""
        reached: set[str] = set()
        waiting = list(roots)
        wanted: set[tuple[str, str]] = set()
        made: list[TypeInfo] = []
        while waiting:
            symbol = waiting.pop()
            if symbol in reached:
                continue
            reached.add(symbol)
            waiting += self.edges[symbol]
            waiting += [_given(maker, symbol) for maker in self.given[symbol] if maker in reached]
            waiting += [_given(symbol, field) for field in self.fields[symbol] if field in reached]
            # A member is that of the class or of its implementations, if they are instantiated. Each pair of
            # a wanted member and an instantiated class is looked at once.
            new = self.members[symbol] - wanted
            waiting += self._implementations(new, made)
            wanted |= new
            if symbol in self.classes:
                made.append(self.classes[symbol])
                waiting += self._implementations(wanted, made[-1:])
        return Reached(
            frozenset(self._operations(reached)),
            frozenset(setting for symbol in reached for setting in self.settings[symbol]),
            frozenset(reached),
        )

    def symbols_of(self, module: str) -> list[str]:
        """The symbols that a module defines."""
        return [symbol for symbol in list(self.edges) if symbol == module or symbol.startswith(f"{module}.")]

    def _implementations(self, wanted: Iterable[tuple[str, str]], made: Sequence[TypeInfo]) -> Iterator[str]:
        for fullname, member in wanted:
            for info in made:
                in_place = info.fullname == fullname or info.has_base(fullname)
                protocol = fullname in self.classes and self.classes[fullname].is_protocol
                if in_place or (protocol and info.get(member) is not None):
                    yield from (f"{base.fullname}.{member}" for base in info.mro if member in base.names)

    def _operations(self, reached: set[str]) -> Iterator[Operation]:
        for symbol in reached:
            yield from (each for each in self.operations[symbol] if _is_operation(each))
        services = {service for symbol in reached for service in self.clients[symbol]}
        names = {name for symbol in reached for name in self.untyped[symbol]}
        for service in services:
            if f"mypy_boto3_{service.replace('-', '_')}" not in self.stubs:
                yield from (
                    Operation(service, name) for name in names if _is_operation(Operation(service, name))
                )

    def _define(self, scope: str, definition: Node) -> None:
        match definition:
            case ClassDef():
                symbol = f"{scope}.{definition.name}"
                self.classes[symbol] = definition.info
                self.edges[symbol] |= {
                    f"{symbol}.{name}" for name in ("__init__", "__call__", "__post_init__")
                }
                self.edges[symbol] |= {base.fullname for base in definition.info.mro[1:]}
                for member in definition.defs.body:
                    self._define(symbol, member)
                self._mention(symbol, definition.decorators)
            case FuncDef():
                self._mention(f"{scope}.{definition.name}", [definition])
            case Decorator():
                self._mention(f"{scope}.{definition.func.name}", [*definition.decorators, definition.func])
            case OverloadedFuncDef():
                for item in definition.items:
                    self._define(scope, item)
            case AssignmentStmt():
                for target in definition.lvalues:
                    name = target.name if isinstance(target, NameExpr) else ""
                    self._mention(f"{scope}.{name}".rstrip("."), [definition.rvalue])
            case ExpressionStmt():
                self._mention(scope, [definition])

    def _mention(self, symbol: str, nodes: Sequence[Node]) -> None:
        self.edges[symbol] |= {symbol.rpartition(".")[0]} if symbol.startswith("functions.") else set()
        if symbol in _LOADED_BY_NAME:
            package, _, member = _LOADED_BY_NAME[symbol].partition(".*.")
            folder = _LAYER / package.replace(".", "/")
            modules = [path.stem for path in folder.glob("*.py")]
            modules += [path.parent.name for path in folder.glob("*/__init__.py")]
            self.edges[symbol] |= {f"{package}.{module}.{member}" for module in modules}
        mentions = [expression for node in nodes for expression in get_subexpressions(node)]
        given_to = {
            id(part): field
            for call in mentions
            if isinstance(call, CallExpr)
            for field, argument in _fields(call)
            for part in get_subexpressions(argument)
        }
        for field in set(given_to.values()):
            self.given[field].add(symbol)
            self.fields[symbol].add(field)
        for expression in mentions:
            given = given_to.get(id(expression))
            self._read(symbol if given is None else _given(symbol, given), expression)

    def _read(self, symbol: str, expression: Expression) -> None:
        if isinstance(expression, RefExpr) and expression.fullname.startswith(_OURS):
            self.edges[symbol].add(expression.fullname)
        match expression:
            case MemberExpr(name=name, expr=value):
                self._read_member(symbol, self._classes_of(value), name)
            case CallExpr(callee=RefExpr(fullname="boto3.client"), args=[StrExpr(value=service), *_]):
                self.clients[symbol].add(service)
            case StrExpr(value=value) if _reads_settings(symbol) and _SETTING.fullmatch(value):
                self.settings[symbol].add(value)

    def _read_member(self, symbol: str, classes: Sequence[TypeInfo] | None, name: str) -> None:
        if classes is None:
            self.untyped[symbol].add(name)
        for info in classes or []:
            if info.fullname.startswith("mypy_boto3_"):
                service = info.fullname.split(".")[0].removeprefix("mypy_boto3_")
                self.operations[symbol].add(Operation(service.replace("_", "-"), name))
            elif info.fullname.startswith(_OURS):
                self.members[symbol].add((info.fullname, name))
                self.edges[symbol] |= {f"{base.fullname}.{name}" for base in info.mro}

    def _classes_of(self, expression: Expression) -> list[TypeInfo] | None:
        """The possible classes of an expression, or the class that it denotes; `None` if unknown."""
        found = self._types.get(expression)
        return None if found is None else _classes_in(found)


def _given(maker: str, field: str) -> str:
    """The node of the value that a symbol gives to a field of the objects that it makes."""
    return f"{maker} gives {field}"


def _fields(call: CallExpr) -> Iterator[tuple[str, Expression]]:
    """The fields of one of our classes in a call, with the functions passed to them."""
    callee = call.callee
    if (
        isinstance(callee, RefExpr)
        and isinstance(callee.node, TypeInfo)
        and callee.fullname.startswith(_OURS)
    ):
        for name, argument in zip(call.arg_names, call.args, strict=True):
            if name is not None and isinstance(argument, RefExpr | LambdaExpr | TupleExpr):
                yield f"{callee.fullname}.{name}", argument


def _classes_in(found: Type) -> list[TypeInfo] | None:
    match get_proper_type(found):
        case AnyType():
            return None
        case Instance() as instance:
            return [instance.type]
        case UnionType(items=items):
            return [info for item in items for info in _classes_in(item) or []]
        case TypeType(item=item):
            return _classes_in(item)
        case TypeVarType(upper_bound=bound):
            return _classes_in(bound)
        case TupleType(partial_fallback=fallback):
            return [fallback.type]
        case CallableType() as function if function.is_type_obj():
            return [function.type_object()]
        case Overloaded() as overloaded if overloaded.is_type_obj():
            return [overloaded.type_object()]
        case _:
            return []


@cache
def reached_by(name: str) -> Reached:
    """The symbols and settings that the function in `functions/<name>` can reach.

    The analysis takes half a minute; its result is kept for other processes, until the code changes.

    Raises:
        CompileError: mypy reports an error.
    """
    apps = {path.parent.name: path for path in sorted(REPOSITORY.glob("functions/*/app.py"))}
    layer = sorted(_LAYER.glob("roadmap_content/**/*.py"))
    read = [*apps.values(), *layer, *sorted(REPOSITORY.glob("migrations/**/*.py"))]
    names = "\n".join(str(path.relative_to(REPOSITORY)) for path in read)
    locks = sorted([*REPOSITORY.glob("requirements/*.txt"), *REPOSITORY.glob("layers/*/requirements.txt")])
    rules = [Path(__file__), REPOSITORY / "pyproject.toml", *locks]

    def analyse(directory: Path) -> None:
        analysis = _analyse(apps, layer)
        directory.mkdir()
        for app in apps:
            reached = analysis.reach(analysis.symbols_of(f"functions.{app}.app"))
            found = {kind: sorted(members) for kind, members in reached._asdict().items()}
            (directory / f"{app}.json").write_text(json.dumps(found))

    directory = build_once(LOCAL / "reachable" / fingerprint(names, *read, *rules), analyse)
    kept = json.loads((directory / f"{name}.json").read_text())
    operations = (Operation(service, method) for service, method in kept["operations"])
    return Reached(frozenset(operations), frozenset(kept["settings"]), frozenset(kept["symbols"]))


def _analyse(apps: Mapping[str, Path], layer: Iterable[Path]) -> Analysis:
    options = Options()
    parse_config_file(options, lambda: None, str(REPOSITORY / "pyproject.toml"), sys.stderr, sys.stderr)
    options.export_types = options.preserve_asts = True
    options.incremental = False
    sources = [BuildSource(str(path), f"functions.{name}.app") for name, path in apps.items()]
    for path in layer:
        module = ".".join(path.relative_to(_LAYER).with_suffix("").parts).removesuffix(".__init__")
        sources.append(BuildSource(str(path), module))
    return Analysis(build(sources, options))


@cache
def _requests(service: str) -> frozenset[str]:
    """The methods of a client that send a request: those of the operations in the service's model."""
    model = botocore.session.get_session().get_service_model(service)
    return frozenset(map(xform_name, model.operation_names))


@cache
def endpoint_of(operation: Operation) -> str | None:
    """The name of the endpoint to which an operation sends its request, such as `states`.

    `None` if it sends none, as a token for the login to a database, which is signed locally.
    """
    if operation.method not in _requests(operation.service):
        return None
    prefix: str = botocore.session.get_session().get_service_model(operation.service).endpoint_prefix
    return prefix


def _is_operation(operation: Operation) -> bool:
    needs_permission_only = operation == Operation("rds", "generate_db_auth_token")
    return needs_permission_only or operation.method in _requests(operation.service)
