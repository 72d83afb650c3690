"""The closed box: Jinja's sandbox with a list of what may be called, and a budget around whatever can be dear."""

from __future__ import annotations

import re
from collections.abc import Callable, Sized
from datetime import date, time, timedelta
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from jinja2 import ChainableUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Cycler, Joiner, Namespace, pass_context
from jinja2.visitor import NodeTransformer

from app.core.templating.budget import Budget, TooMuchError, budget_of
from app.core.templating.filters import FILTERS_OF_TEMPLATES, MAX_FORMATTED, WALKING_FILTERS, joined, narrow, percent, replaced

MAX_BITS = 4_096
"""Size of a whole number."""
_DICT_METHODS = frozenset({"get", "items", "keys", "values"})
_TEXT_METHODS = frozenset(
    """
    capitalize casefold center count endswith find index isalnum isalpha isascii isdecimal isdigit islower isnumeric isspace
    istitle isupper join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit
    rstrip split splitlines startswith strip swapcase title upper zfill
    """.split()  # noqa: SIM905 - a table of words reads better
)
_TIME_METHODS = frozenset({"astimezone", "date", "isoformat", "isoweekday", "strftime", "time", "timestamp", "total_seconds", "tzname", "utcoffset", "weekday"})
_METHODS: tuple[tuple[tuple[type, ...], frozenset[str]], ...] = (
    ((str,), _TEXT_METHODS),
    ((dict,), _DICT_METHODS),
    ((list, tuple), frozenset({"count", "index"})),
    ((date, time, timedelta), _TIME_METHODS),
    ((int, float), frozenset({"is_integer"})),
)
_CALLABLE = (Macro, LoopContext, BlockReference, Joiner, FunctionType, ChainableUndefined)
_PARTS_OF_CONSTANTS = (nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair)
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))


class Undefined(ChainableUndefined):
    """What is missing: empty, at any depth.  The bare name stands in error texts that OnCall's users know."""


class _Namespace(Namespace):
    """A namespace that does not show its members: it may hold itself."""

    def __repr__(self) -> str:
        return "<Namespace>"


class _Formatter(SandboxedFormatter):
    """`str.format` that reaches no private member and has an end."""

    made = 0

    def format_field(self, value: Any, format_spec: str) -> Any:
        if re.search(r"\d{4}", format_spec):
            raise TooMuchError("it formats too long a text")
        text = super().format_field(value, format_spec)
        self.made += len(text)
        if self.made > MAX_FORMATTED:
            raise TooMuchError("it formats too long a text")
        return text


class _Guard(NodeTransformer):
    """Put a question to the budget around every part of a template that can be dear."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - named by Jinja
        self.generic_visit(node)
        size = sum(len(data.data) for data in node.find_all(nodes.TemplateData))
        node.iter = _filter(" counted", node.iter, nodes.Const(size))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(" concat", nodes.List(node.nodes, lineno=node.lineno))

    def _checked(self, node: nodes.Node) -> nodes.Node:
        self.generic_visit(node)
        return _filter(" taken", node)

    visit_Compare = _checked  # noqa: N815
    visit_Test = _checked  # noqa: N815

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        return self._checked(node) if isinstance(node.arg, nodes.Slice) else self.generic_visit(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        return self._literal(node) if node.ctx == "load" else node

    def _literal(self, node: nodes.Node) -> nodes.Node:
        is_constant = all(isinstance(part, _PARTS_OF_CONSTANTS) for part in node.find_all(nodes.Node))
        return node if is_constant else self._checked(node)

    visit_List = _literal  # noqa: N815
    visit_Dict = _literal  # noqa: N815

    def _refused(self, node: nodes.Node) -> nodes.Node:
        raise TemplateSyntaxError(f"{type(node).__name__.lower()} is not available: a template stands alone", node.lineno)

    visit_Include = _refused  # noqa: N815
    visit_Import = _refused  # noqa: N815
    visit_FromImport = _refused  # noqa: N815
    visit_Extends = _refused  # noqa: N815


def _filter(name: str, node: nodes.Node, *args: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's own sandbox, with a list of what may be called and a budget."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        guarded: nodes.Template = _Guard().visit(source)
        guarded.set_environment(self)
        return super()._generate(guarded, *args, **kwargs)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A member of a value; of a mapping what it holds, and but four of Python's methods."""
        if type(obj) is dict and attribute not in _DICT_METHODS:
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """The harmless stand-in of `str.format` and `str.format_map`; None for anything else."""
        if not isinstance(value, BuiltinMethodType) or value.__name__ not in ("format", "format_map") or not isinstance(value.__self__, str):
            return None
        template, takes_mapping = str(value.__self__), value.__name__ == "format_map"

        def formatted(*args: Any, **kwargs: Any) -> str:
            return _Formatter(self).vformat(template, () if takes_mapping else args, args[0] if takes_mapping else kwargs)

        return formatted

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja's: a template may name an argument self
        """Call what may be called.

        Raises:
            SecurityError: it may not.
        """
        budget = budget_of(__context)
        budget.spend()
        if args:
            budget.weigh(args)
        if kwargs:
            budget.weigh(kwargs)
        if isinstance(__obj, BuiltinMethodType):
            return _call_method(budget, __obj, args, kwargs)
        if isinstance(__obj, LoopContext):
            args = (_counted(__context, args[0], 0), *args[1:])
        if not _may_call(__obj):
            raise SecurityError(f"{getattr(__obj, '__name__', type(__obj).__name__)} may not be called")
        return budget.take(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Reckon, when the result has an end."""
        budget = budget_of(context)
        budget.spend(text=_size_of(operator, left, right))
        if operator == "%" and isinstance(left, str):
            return percent(budget, left, right)
        return budget.take(super().call_binop(context, operator, left, right))


def _may_call(function: Any) -> bool:
    if isinstance(function, MethodType):
        return isinstance(function.__self__, LoopContext | Cycler)
    return isinstance(function, _CALLABLE) or function in (dict, _Namespace, Cycler, Joiner)


def _call_method(budget: Budget, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a method of a value, when it is on the list of harmless ones."""
    owner, name = method.__self__, method.__name__
    if not any(isinstance(owner, kinds) and name in names for kinds, names in _METHODS):
        raise SecurityError(f"{type(owner).__name__}.{name} may not be called")
    kwargs = {key: value for key, value in kwargs.items() if key not in ("_loop_vars", "_block_vars")}
    if isinstance(owner, str):
        if name == "replace":
            return replaced(budget, owner, *args, **kwargs)
        if name == "join":
            return joined(budget, owner, *args)
        if name in ("center", "ljust", "rjust", "zfill"):
            narrow(args[0] if args else 0)
    value: Any = method(*args, **kwargs)
    return budget.take([*value] if type(value) in _VIEWS else value)


def _size_of(operator: str, left: Any, right: Any) -> int:
    """About how much text or how many members an operator makes.

    Raises:
        TooMuchError: it makes a number that is too long.
    """
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 1) if operator == "**" else left.bit_length() + right.bit_length()
        if operator in ("**", "*") and bits > MAX_BITS:
            raise TooMuchError("it makes a number that is too long")
        return 0
    if operator == "*":
        for one, times in ((left, right), (right, left)):
            if isinstance(one, str | list | tuple | bytes) and isinstance(times, int):
                return len(one) * max(times, 0)
    if operator == "+" and isinstance(left, str | list | tuple | bytes) and isinstance(right, str | list | tuple | bytes):
        return len(left) + len(right)
    return 0


@pass_context
def _counted(context: Context, values: Any, size: int) -> Any:
    """Pay for all turns of a loop before the first: one that has begun also ends."""
    known = values if isinstance(values, str | list | tuple | dict | ChainableUndefined) else list(values)
    budget_of(context).spend(len(known), len(known) * size)
    return known


@pass_context
def _concat(context: Context, values: list[Any]) -> str:
    return joined(budget_of(context), "", values)


@pass_context
def _taken(context: Context, value: Any) -> Any:
    budget = budget_of(context)
    budget.spend()
    return budget.take(value)


@pass_context
def _shown(context: Context, value: Any) -> str:
    text = value if type(value) is str else str(value)
    budget_of(context).spend(text=len(text))
    return text


def _guarded(function: Callable[..., Any], *, walks: bool) -> Callable[..., Any]:
    """A filter that asks the budget before, and weighs its result after; one that walks its value pays for every member."""
    wants = getattr(getattr(function, "jinja_pass_arg", None), "name", "")

    @pass_context
    def guarded(context: Context, *args: Any, **kwargs: Any) -> Any:
        budget = budget_of(context)
        budget.spend(1 + len(args[0]) if walks and args and isinstance(args[0], Sized) else 1)
        if wants == "context":
            args = (context, *args)
        elif wants == "eval_context":
            args = (context.eval_ctx, *args)
        elif wants == "environment":
            args = (context.environment, *args)
        return budget.take(function(*args, **kwargs))

    return guarded


def _refuse_range(*_args: Any) -> None:
    raise SecurityError("use of 'range' is restricted")


def make_sandbox() -> Sandbox:
    """The one environment that templates are compiled in."""
    sandbox = Sandbox(optimized=False, finalize=_shown, undefined=Undefined, autoescape=False)
    sandbox.filters = {name: _guarded(function, walks=name in WALKING_FILTERS) for name, function in FILTERS_OF_TEMPLATES.items()}
    sandbox.filters |= {" counted": _counted, " concat": _concat, " taken": _taken}
    sandbox.globals = {"range": _refuse_range, "dict": dict, "namespace": _Namespace, "cycler": Cycler, "joiner": Joiner}
    return sandbox
