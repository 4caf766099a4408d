"""Every error class, and every message that a user can be told, wherever in the source it stands."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from tests.snapshots.source import trees

_ERROR = re.compile(r"^_?[A-Z]\w*(Error|Exception)$")
_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def errors() -> str:
    from onnxembed import errors as module

    classes = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
    return "\n".join(sorted(f"{one.__name__}({', '.join(base.__name__ for base in one.__bases__)})" for one in classes))


def messages() -> str:
    modules = list(trees())
    makers = _makers(modules)
    found = [one for tree in modules for one in _Reader(makers).read(tree)]
    lines: list[str] = []
    for section in ("errors", "errors made by functions", "warnings", "log", "other texts"):
        lines += [f"== {section}", *sorted({text for kind, text in found if kind == section}), ""]
    return "\n".join(lines)


def _makers(modules: list[ast.Module]) -> set[str]:
    """The functions that give errors, for others to raise."""
    functions = [node for tree in modules for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
    given = [(function.name, _called_for_results(function)) for function in functions]
    makers: set[str] = set()
    while True:
        more = {name for name, calls in given if any(_is_error(call) or call in makers for call in calls)} - makers
        if not more:
            return makers
        makers |= more


def _called_for_results(function: ast.AST) -> set[str]:
    """The names of what a function calls for what it returns."""
    results = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return {_called(one) for one in results if isinstance(one, ast.Call)}


def _called(call: ast.Call) -> str:
    """The last name of what is called."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _is_error(name: str) -> bool:
    return bool(_ERROR.match(name))


class _Reader(ast.NodeVisitor):
    """Walks a module and collects messages with the section that they belong to."""

    def __init__(self, makers: set[str]) -> None:
        self._makers = makers
        self._found: list[tuple[str, str]] = []
        self._functions: list[ast.AST] = []
        self._classes: list[str] = []
        self._told: set[ast.AST] = set()

    def read(self, tree: ast.Module) -> list[tuple[str, str]]:
        self.visit(tree)
        for node in _texts(tree):
            if node not in self._told and len(_template(node).split()) > 1:
                self._found.append(("other texts", _template(node)))
        return self._found

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._classes.append(node.name)
        self.generic_visit(node)
        self._classes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._functions.append(node)
        self.generic_visit(node)
        self._functions.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        call = node.exc
        if isinstance(call, ast.Call) and not _is_error(_called(call)) and _called(call) not in self._makers:
            self._add("errors made by functions", _called(call), call)
        elif isinstance(call, ast.Name) and isinstance(getattr(builtins, call.id, None), type):
            self._found.append(("errors", call.id))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _called(node)
        if _is_error(name):
            self._add("errors", name, node)
        elif name in self._makers:
            self._add("errors made by functions", name, node)
        elif name == "__init__" and self._classes and _is_error(self._classes[-1]):
            self._add("errors", self._classes[-1], node)
        elif name == "warn" and ast.unparse(node.func) == "warnings.warn":
            self._add("warnings", ast.unparse(node.args[1]) if len(node.args) > 1 else "UserWarning", node)
        elif name in _LEVELS and ast.unparse(node.func).split(".")[0].strip("_") in {"logger", "log", "logging"}:
            self._add("log", name, node)
        self.generic_visit(node)

    def _add(self, section: str, name: str, call: ast.Call) -> None:
        arguments = call.args[:1] if section == "warnings" else call.args
        parts = [self._argument(one) for one in arguments]
        if section != "warnings":
            parts += [f"{keyword.arg}={self._argument(keyword.value)}" for keyword in call.keywords]
        self._found.append((section, f"{name}: {', '.join(parts)}".rstrip()))

    def _argument(self, node: ast.expr) -> str:
        """An argument; a variable is followed to the texts that it is given in the same function."""
        self._told.update(ast.walk(node))
        if isinstance(node, ast.Name) and self._functions:
            texts = [value for value in _assigned(self._functions[-1], node.id) if _is_text(value)]
            if texts:
                for text in texts:
                    self._told.update(ast.walk(text))
                return " | ".join(_template(text) for text in texts)
        return _template(node) if _is_text(node) else "{" + ast.unparse(node) + "}"


def _assigned(function: ast.AST, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            yield node.value


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and (_is_text(node.left) or _is_text(node.right))
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _template(node: ast.AST) -> str:
    """A text as the source writes it, on one line, what is filled in within braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_template, node.values))
    if isinstance(node, ast.BinOp):
        return _template(node.left) + _template(node.right)
    if isinstance(node, ast.FormattedValue):
        conversion = f"!{chr(node.conversion)}" if node.conversion >= 0 else ""
        form = f":{_template(node.format_spec)}" if node.format_spec else ""
        return "{" + ast.unparse(node.value) + conversion + form + "}"
    return "{" + ast.unparse(node) + "}"


def _texts(node: ast.AST) -> Iterator[ast.AST]:
    """The outermost texts of a module that are not documentation."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if _is_text(child):
            yield child
        else:
            yield from _texts(child)
