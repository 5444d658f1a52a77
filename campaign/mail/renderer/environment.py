"""The Jinja2 sandbox in which letters are rendered: plain values, few filters, no calls. It never loads files.

Jinja2's own sandbox is not enough (attributes of passed objects are readable, their methods callable, text can be
multiplied without end), so this one only knows mappings, lists, text and numbers, and macros of the template itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from jinja2 import FunctionLoader, StrictUndefined, Undefined
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS as JINJA_TESTS
from markupsafe import Markup

from campaign.mail.renderer.filters import FILTERS

BORROWED_FILTERS: Final = (
    "abs",
    "capitalize",
    "default",
    "escape",
    "first",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "reverse",
    "round",
    "sort",
    "trim",
    "truncate",
    "upper",
    "urlencode",
)
BORROWED_TESTS: Final = (
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "mapping",
    "in",
    "odd",
    "even",
    "==",
    "!=",
    ">",
    ">=",
    "<",
    "<=",
)
_LARGEST_NUMBER: Final = 10**12


class SlotUsed(Exception):
    """A personal field was looked at, where it could only be printed."""


class Slot:
    """A personal field whose value is not known yet. It can be printed, and nothing else can be done with it."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        """Take the full name, like `person.name`."""
        self._name = name

    def marked(self) -> Markup:
        """Return the mark that stands in the text until the value is filled in."""
        return Markup(f"\x02{self._name}\x03")  # noqa: S704 -- the name is ours and the value is escaped when it is filled in

    def _used(self, *_: Any, **__: Any) -> NoReturn:
        raise SlotUsed(f"{self._name} is used in a condition, a filter or a computation")

    __str__ = __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __format__ = __html__ = _used
    __add__ = __radd__ = __sub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = __eq__ = __ne__ = _used
    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __float__ = __index__ = __call__ = _used
    __hash__ = _used
    __repr__ = _used


class Empty(str):
    """A personal value that is the empty text. It leaves a mark, so that the lines around it are laid out as ever."""

    __slots__ = ()
    MARK: Final = "\x02\x03"


class LetterEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox over the sources of one template: HTML is escaped, undefined names are errors, nothing is global."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Take the texts by their names, like `digest/body.html.j2`."""
        super().__init__(
            loader=FunctionLoader(lambda name: (sources[name], name, None) if name in sources else None),
            autoescape=_is_html,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_printed,
            auto_reload=False,
        )
        self.globals.clear()
        self.filters = {name: JINJA_FILTERS[name] for name in BORROWED_FILTERS} | FILTERS
        self.tests = {name: JINJA_TESTS[name] for name in BORROWED_TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up a field: in a mapping by its key, in `loop`, `self` and imported files by name, and nowhere else."""
        if isinstance(obj, Mapping | Undefined | Slot):
            return self.getitem(obj, attribute)
        if isinstance(obj, LoopContext | TemplateReference | TemplateModule) and not attribute.startswith("_"):
            return super().getattr(obj, attribute)
        return self.undefined(f"{_kind(obj)} has no field {attribute!r}", obj=obj, name=attribute, exc=SecurityError)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up an entry of a mapping or a place in a list."""
        if isinstance(obj, Undefined | Slot):
            return obj[argument]
        if isinstance(obj, TemplateReference):
            return super().getitem(obj, argument)
        if isinstance(obj, Mapping | list | tuple | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                return self.undefined(_missing(obj, argument), obj=obj, name=argument)
        return self.undefined(f"{_kind(obj)} has no entry {argument!r}", obj=obj, name=argument, exc=SecurityError)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a macro, a block or something of `loop`: nothing else can be called."""
        bound_to = getattr(obj, "__self__", None)
        if isinstance(obj, Macro | BlockReference | LoopContext) or isinstance(bound_to, LoopContext):
            return context.call(obj, *args, **kwargs)
        if isinstance(obj, Undefined):
            return obj()
        raise SecurityError("only macros can be called")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do arithmetic on numbers of reasonable size: no powers, no multiplied text, no formatting by %."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" or not numbers or abs(left) > _LARGEST_NUMBER or abs(right) > _LARGEST_NUMBER:
            raise SecurityError(f"the operator {operator} works on numbers up to 10^12 only")
        return super().call_binop(context, operator, left, right)


def _is_html(name: str | None) -> bool:
    return name is None or ".html" in name


def _printed(value: Any) -> Any:
    """A slot prints its mark, nothing prints nothing."""
    if type(value) is Slot:
        return value.marked()
    if type(value) is Empty:
        return Markup(Empty.MARK)  # noqa: S704 -- a constant
    return "" if value is None else value


def _kind(obj: Any) -> str:
    return {"str": "a text", "int": "a number", "float": "a number", "list": "a list", "NoneType": "nothing"}.get(
        type(obj).__name__, "this value"
    )


def _missing(obj: Any, argument: Any) -> str:
    if not isinstance(obj, Mapping):
        return f"{_kind(obj)} has no entry {argument!r}"
    near = difflib.get_close_matches(str(argument), map(str, obj), n=1)
    there = ", ".join(map(str, list(obj)[:20]))
    return f"there is no {argument!r} here" + (f"; did you mean {near[0]!r}?" if near else f"; there is: {there}")
