"""LLVM's text for functions written in a small part of Python.

All of it is 64-bit integers, which wrap, and flat arrays of them (`Words`) or of bytes (`Bytes`).
There are assignments, arithmetic, comparisons, `and`, `or`, `not`, `if`, `while`, `break`,
`continue`, `return`, calls of each other, and names of integers of the module. `word(bytes, at)` is
the eight bytes there. What goes beyond it is a mistake in the module, and found when it is
translated.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import NoReturn

__all__ = ["translated"]

_BINARY: Mapping[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or",
    ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "ashr",
}  # fmt: skip
_COMPARE: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge",
}  # fmt: skip
_ITEM = {"Bytes": "i8", "Words": "i64"}


def translated(source: str, constants: Mapping[str, int], exported: str) -> str:
    """The LLVM text of the functions in a module's source; only one is seen from outside."""
    functions = {
        node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)
    }
    return "\n".join(
        _Function(node, functions, constants, node.name == exported).text()
        for node in functions.values()
    )


class _Function:
    """One function being translated: lines of code, and names for values and places."""

    def __init__(
        self,
        node: ast.FunctionDef,
        functions: Mapping[str, ast.FunctionDef],
        constants: Mapping[str, int],
        exported: bool,
    ) -> None:
        self._node, self._functions, self._constants = node, functions, constants
        self._exported = exported
        self._arrays = _arrays(node)
        self._locals: dict[str, None] = {}
        self._lines: list[str] = []
        self._number = 0
        self._loops: list[tuple[str, str]] = []  # where `continue` and `break` go

    def text(self) -> str:
        """All of it."""
        given, kept = [], []
        for arg in self._node.args.args:
            if arg.arg in self._arrays:
                given.append(f"ptr noalias %{arg.arg}")
            else:
                given.append(f"i64 %{arg.arg}")
                self._locals[arg.arg] = None
                kept.append(f"  store i64 %{arg.arg}, ptr %at.{arg.arg}")
        ended = self._block(self._node.body)
        if not ended:
            self._add("ret i64 0")
        places = [f"  %at.{name} = alloca i64" for name in self._locals]
        how = "" if self._exported else "internal "
        head = f"define {how}i64 @{self._node.name}({', '.join(given)}) {{"
        return "\n".join([head, "entry:", *places, *kept, *self._lines, "}", ""])

    # ---- statements: True where what follows is not reached --------------------------------------

    def _block(self, body: list[ast.stmt]) -> bool:
        return any([self._statement(node) for node in body][-1:])

    def _statement(self, node: ast.stmt) -> bool:
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                return False
            case ast.Expr(value=value):
                self._value(value)
            case ast.Assign(targets=[target], value=value):
                self._store(target, self._value(value))
            case ast.AugAssign(target=target, op=op, value=value):
                loaded = ast.copy_location(ast.parse(ast.unparse(target), mode="eval").body, target)
                self._store(target, self._value(ast.BinOp(loaded, op, value)))
            case ast.Return(value=value) if value is not None:
                self._add(f"ret i64 {self._value(value)}")
                return True
            case ast.Break():
                self._add(f"br label %{self._loops[-1][1]}")
                return True
            case ast.Continue():
                self._add(f"br label %{self._loops[-1][0]}")
                return True
            case ast.If(test=test, body=body, orelse=orelse):
                return self._if(test, body, orelse)
            case ast.While(test=test, body=body, orelse=[]):
                return self._while(test, body)
            case _:
                self._refuse(node)
        return False

    def _if(self, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> bool:
        then, other, after = self._label("then"), self._label("else"), self._label("after")
        self._branch(test, then, other)
        self._lines.append(f"{then}:")
        first = self._block(body)
        if not first:
            self._add(f"br label %{after}")
        self._lines.append(f"{other}:")
        second = self._block(orelse)
        if not second:
            self._add(f"br label %{after}")
        if first and second:
            return True
        self._lines.append(f"{after}:")
        return False

    def _while(self, test: ast.expr, body: list[ast.stmt]) -> bool:
        again, inside, after = self._label("again"), self._label("inside"), self._label("after")
        self._add(f"br label %{again}")
        self._lines.append(f"{again}:")
        self._branch(test, inside, after)
        self._lines.append(f"{inside}:")
        self._loops.append((again, after))
        if not self._block(body):
            self._add(f"br label %{again}")
        self._loops.pop()
        self._lines.append(f"{after}:")
        return False

    def _branch(self, test: ast.expr, yes: str, no: str) -> None:
        match test:
            case ast.BoolOp(op=op, values=values):
                for value in values[:-1]:
                    more = self._label("more")
                    ways = (more, no) if isinstance(op, ast.And) else (yes, more)
                    self._branch(value, *ways)
                    self._lines.append(f"{more}:")
                self._branch(values[-1], yes, no)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._branch(operand, no, yes)
            case ast.Constant(value=True):
                self._add(f"br label %{yes}")
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
                a, b = self._value(left), self._value(right)
                bit = self._name(f"icmp {_COMPARE[type(op)]} i64 {a}, {b}")
                self._add(f"br i1 {bit}, label %{yes}, label %{no}")
            case _:
                self._refuse(test)

    # ---- values ----------------------------------------------------------------------------------

    def _value(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(value=int(value)):
                return str(int(value))
            case ast.Name(id=name) if name in self._locals:
                return self._name(f"load i64, ptr %at.{name}")
            case ast.Name(id=name) if name in self._constants:
                return str(self._constants[name])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._name(f"sub i64 0, {self._value(operand)}")
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                a, b = self._value(left), self._value(right)
                return self._name(f"{_BINARY[type(op)]} i64 {a}, {b}")
            case ast.Subscript(value=ast.Name(id=array), slice=index) if array in self._arrays:
                item = self._arrays[array]
                loaded = self._name(f"load {item}, ptr {self._place(array, index)}")
                return loaded if item == "i64" else self._name(f"zext i8 {loaded} to i64")
            case ast.Call(func=ast.Name(id="word"), args=[ast.Name(id=array), index]):
                return self._name(f"load i64, ptr {self._place(array, index)}, align 1")
            case ast.Call(func=ast.Name(id=name), args=args) if name in self._functions:
                of_arrays = _arrays(self._functions[name])
                wanted = [arg.arg for arg in self._functions[name].args.args]
                given = [
                    f"ptr %{ast.unparse(arg)}" if want in of_arrays else f"i64 {self._value(arg)}"
                    for want, arg in zip(wanted, args, strict=True)
                ]
                return self._name(f"call i64 @{name}({', '.join(given)})")
            case _:
                self._refuse(node)

    def _store(self, target: ast.expr, value: str) -> None:
        match target:
            case ast.Name(id=name) if name not in self._arrays:
                self._locals[name] = None
                self._add(f"store i64 {value}, ptr %at.{name}")
            case ast.Subscript(value=ast.Name(id=array), slice=index) if array in self._arrays:
                place = self._place(array, index)
                if self._arrays[array] == "i8":
                    value = self._name(f"trunc i64 {value} to i8")
                self._add(f"store {self._arrays[array]} {value}, ptr {place}")
            case _:
                self._refuse(target)

    def _place(self, array: str, index: ast.expr) -> str:
        at = self._value(index)
        return self._name(f"getelementptr inbounds {self._arrays[array]}, ptr %{array}, i64 {at}")

    # ---- lines -----------------------------------------------------------------------------------

    def _add(self, line: str) -> None:
        self._lines.append(f"  {line}")

    def _name(self, line: str) -> str:
        self._number += 1
        self._add(f"%t{self._number} = {line}")
        return f"%t{self._number}"

    def _label(self, name: str) -> str:
        self._number += 1
        return f"{name}{self._number}"

    def _refuse(self, node: ast.AST) -> NoReturn:
        raise ValueError(f"{self._node.name}: cannot be translated: {ast.unparse(node)}")


def _arrays(node: ast.FunctionDef) -> dict[str, str]:
    """The arguments that are arrays, and what they are of."""
    return {
        arg.arg: _ITEM[arg.annotation.id]
        for arg in node.args.args
        if isinstance(arg.annotation, ast.Name) and arg.annotation.id in _ITEM
    }
