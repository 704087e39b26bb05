"""A small language of conditions on records, for ``tokfilter --where``. Nothing is ever evaluated
as Python.

    condition  = and { "or" and } ;            and = not { "and" not } ;
    not        = "not" not | comparison ;
    comparison = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not" "in") sum ] ;
    sum        = product { ("+" | "-") product } ;
    product    = factor { ("*" | "/") factor } ;
    factor     = "-" factor | value ;
    value      = number | string | "true" | "false" | "null" | "[" [ sum { "," sum } ] "]"
               | "(" condition ")" | function "(" [ condition { "," condition } ] ")"
               | name { "." name | "[" string "]" } ;

A path (``meta.genre``, ``n.notes``, ``aug.shift``, ``meta["my key"]``, ``src``) is what stands in
the record, null where it is not there. A comparison with a missing value is false, whichever it is;
with the word ``null`` it asks whether the value is missing. A list compares as its values do: true
if it is true of any one (``!=``: if none is equal). Values of different kinds are not equal, and
their order is false. Arithmetic on anything but numbers, and division by zero, is null. ``or``,
``and`` and ``not`` take null, false, 0, "" and [] for false.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from midigen.where_tokens import Token, fail, number, tokens
from midigen.where_values import COMPARE, FUNCTIONS, Value, calculate, look_up

Evaluate = Callable[[Mapping[str, Any]], Value]
Path = tuple[str, ...]

_DEPTH = 40
"""Brackets within brackets; each costs about ten of Python's thousand stack frames."""

_CONSTANTS = {"true": True, "false": False, "null": None}


class Where:
    """A condition, parsed. Raises UsageError with the column where the text is no condition."""

    def __init__(self, text: str) -> None:
        parser = _Parser(text)
        self.text = text
        self._evaluate = parser.parse()
        self._unseen = set(parser.paths)

    def test(self, record: Mapping[str, Any]) -> bool:
        """Return whether the condition holds. Never raises for a checked record."""
        if self._unseen:
            self._unseen -= {path for path in self._unseen if look_up(record, path) is not None}
        return bool(self._evaluate(record))

    def unseen(self) -> list[str]:
        """Return the paths that no record so far has had: perhaps misspelt."""
        return sorted(".".join(path) for path in self._unseen)


class _Parser:
    """Recursive descent over the grammar above; every rule returns a function of a record."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._place = 0
        self._depth = 0
        self.paths: list[Path] = []

    def parse(self) -> Evaluate:
        condition = self._condition()
        if self._next.kind != "end":
            self._unexpected("an operator or the end")
        return condition

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self, *texts: str) -> str | None:
        """Move behind the next token if it is one of these signs or words."""
        token = self._next
        if token.text in texts and token.kind in ("sign", "word"):
            self._place += 1
            return token.text
        return None

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self._unexpected(repr(text))

    def _unexpected(self, wanted: str) -> NoReturn:
        token = self._next
        fail(
            token.column,
            f"expected {wanted}, found {repr(token.text) if token.text else 'the end'}",
        )

    def _nested(self, rule: Callable[[], Evaluate]) -> Evaluate:
        self._depth += 1
        if self._depth > _DEPTH:
            fail(self._next.column, f"nested deeper than {_DEPTH} levels")
        inner = rule()
        self._depth -= 1
        return inner

    def _condition(self) -> Evaluate:
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else lambda r: any(part(r) for part in parts)

    def _and(self) -> Evaluate:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda r: all(part(r) for part in parts)

    def _not(self) -> Evaluate:
        if self._take("not"):
            inner = self._nested(self._not)
            return lambda r: not inner(r)
        return self._comparison()

    def _comparison(self) -> Evaluate:
        first_null = self._is_null()
        left = self._sum()
        sign = self._take("==", "!=", "<", "<=", ">", ">=", "in")
        if sign is None and self._next.text == "not" and self._next.kind == "word":
            self._place += 1
            self._expect("in")
            sign = "not in"
        if sign is None:
            return left
        second_null = self._is_null()
        right = self._sum()
        if self._next.text in ("==", "!=", "<", "<=", ">", ">=") and self._next.kind == "sign":
            fail(self._next.column, "comparisons do not chain; join them with and")
        if sign in ("==", "!=") and (first_null or second_null):
            tested = left if second_null else right
            return lambda r: (tested(r) is None) == (sign == "==")
        compare = COMPARE[sign]
        return lambda r: compare(left(r), right(r))

    def _is_null(self) -> bool:
        return self._next.kind == "word" and self._next.text == "null"

    def _sum(self) -> Evaluate:
        return self._chain(self._product, "+", "-")

    def _product(self) -> Evaluate:
        return self._chain(self._factor, "*", "/")

    def _chain(self, rule: Callable[[], Evaluate], *signs: str) -> Evaluate:
        first, rest = rule(), []
        while sign := self._take(*signs):
            rest.append((sign, rule()))
        if not rest:
            return first

        def evaluate(record: Mapping[str, Any]) -> Value:
            total = first(record)
            for sign, part in rest:
                total = calculate(sign, total, part(record))
            return total

        return evaluate

    def _factor(self) -> Evaluate:
        if self._take("-"):
            inner = self._nested(self._factor)
            return lambda r: calculate("-", 0, inner(r))
        return self._value()

    def _value(self) -> Evaluate:
        token = self._next
        if token.kind == "number":
            self._place += 1
            return _constant(number(token))
        if token.kind == "string":
            self._place += 1
            return _constant(re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL))
        if token.kind == "name":
            return self._path_or_call()
        if word := self._take(*_CONSTANTS):
            return _constant(_CONSTANTS[word])
        if self._take("("):
            inner = self._nested(self._condition)
            self._expect(")")
            return inner
        if self._take("["):
            items = self._items("]")
            return lambda r: [value for item in items if (value := item(r)) is not None]
        self._unexpected("a value")

    def _items(self, close: str) -> list[Evaluate]:
        """Return what stands, divided by commas, before `close`, and move behind that."""
        items: list[Evaluate] = []
        while not self._take(close):
            if items:
                self._expect(",")
            items.append(self._nested(self._condition))
        return items

    def _path_or_call(self) -> Evaluate:
        token = self._next
        self._place += 1
        if self._take("("):
            return self._call(token)
        path = (token.text, *self._steps())
        self.paths.append(path)
        return lambda r: look_up(r, path)

    def _call(self, name: Token) -> Evaluate:
        if name.text not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            fail(name.column, f"no function {name.text!r}; there are: {known}")
        function = FUNCTIONS[name.text]
        arguments = self._items(")")
        if len(arguments) < function.least or len(arguments) > (function.most or len(arguments)):
            wanted = f"{function.least}" + " or more" * (function.most is None)
            fail(name.column, f"{name.text}() takes {wanted} values, not {len(arguments)}")
        return lambda r: function.call(*[argument(r) for argument in arguments])

    def _steps(self) -> list[str]:
        steps: list[str] = []
        while True:
            if self._take("."):
                if self._next.kind not in ("name", "word"):
                    self._unexpected("a key")
                steps.append(self._next.text)
                self._place += 1
            elif self._take("["):
                if self._next.kind != "string":
                    self._unexpected('a key in quotes, as in meta["my key"]')
                steps.append(self._next.text[1:-1])
                self._place += 1
                self._expect("]")
            else:
                return steps


def _constant(value: Value) -> Evaluate:
    return lambda record: value
