"""The rules of imports that contracts on modules cannot hold, read off the syntax trees.

python scripts/check_imports.py            list what breaks a rule; exit status 1 when something does

- An adapter imports from the core only names in the ``__all__`` of a public module: ``onnxembed``,
  ``onnxembed.errors``, ``onnxembed.adapters`` and what is below it.
- A package imports from another adapter package only names in the ``__all__`` of a public module of it.
- The core imports, besides Python's own modules, only its dependencies.
- A module of the core imports from ``onnxembed`` itself only where it stands above the kinds of models.
- Nobody imports a private name (``_name``) of another module, or reads one off an imported module.
- No circle of modules inside a package, of the imports that run when a module is loaded.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CORE = "onnxembed"
ADAPTERS = (
    "fastembed",
    "langchain_onnxembed",
    "llama_index.embeddings.onnxembed",
    "llama_index.postprocessor.onnxembed_rerank",
    "llama_index.retrievers.onnxembed",
    "llama_index.sparse_embeddings.onnxembed",
)
PACKAGES = (CORE, *ADAPTERS)
DEPENDENCIES = frozenset(
    {
        "PIL",
        "filelock",
        "huggingface_hub",
        "mmh3",
        "numpy",
        "onnxruntime",
        "py_rust_stemmers",
        "pyarrow",
        "pypdfium2",
        "scipy",
        "tokenizers",
    }
)
"""What the core's distribution and its extras bring."""
DEPENDENCIES_OF_SHARED_PARTS = frozenset({"pydantic", "qdrant_client"})
"""What ``onnxembed.adapters`` imports, too; the distributions of the adapters bring it."""
OPTIONAL = frozenset(
    {
        (f"{CORE}.sparse.vector", "qdrant_client"),
        (f"{CORE}.runtime.progress", "tqdm"),
        (f"{CORE}.batches.serving", "ray"),
        (f"{CORE}.batches.serving", "starlette"),
        (f"{CORE}.batches.spark", "pandas"),
        (f"{CORE}.batches.spark", "pyspark"),
        (f"{CORE}.batches.tables", "pandas"),
        (f"{CORE}.mteb", "mteb"),
        (f"{CORE}.mteb", "torch"),
    }
)
"""A module and what it imports inside one function: ``SparseEmbedding.to_qdrant`` makes the client's type, progress is
tqdm's bar where huggingface-hub has brought it, and engines are those that their users have."""
ABOVE_THE_KINDS = ("adapters", "batches", "cli", "mteb", "opening", "__main__")
"""Rooms of the core that may import from ``onnxembed`` itself."""
ROOTS = ("core", "integrations/fastembed", "integrations/langchain", "integrations/llamaindex")
"""Folders on the module path, relative to the repository."""


@dataclass(frozen=True, order=True)
class Import:
    """One imported name.

    Attributes:
        importer: The module in which the statement stands.
        module: The module that is named; the package of a submodule that is imported by ``from package import module``.
        name: What is imported from it, ``*`` included; empty for ``import module``.
        loading: Whether it runs when the importer is loaded: in no function, and not under ``TYPE_CHECKING``.
    """

    importer: str
    module: str
    name: str
    loading: bool

    @property
    def shown(self) -> str:
        """The import as messages name it."""
        return f"{self.module}.{self.name}" if self.name else self.module


_Statement = tuple[ast.Import | ast.ImportFrom, bool]
"""An import and whether it runs when the module is loaded."""


@dataclass(frozen=True)
class Module:
    """What one module's text says.

    Attributes:
        imports: Its imports.
        reads: What it reads by a dot off a name that an import gave it, as an import of the name that is read.
        exported: The expression of its ``__all__``, if it has one.
    """

    imports: tuple[Import, ...]
    reads: tuple[Import, ...]
    exported: ast.expr | None


class Tree:
    """The modules of this repository, and what they import from one another.

    Attributes:
        modules: By name.
    """

    def __init__(self, root: Path) -> None:
        texts = dict(_texts(root))
        parts = [name.split(".") for name in texts]
        packages = {".".join(part[:end]) for part in parts for end in range(1, len(part))}
        self.modules = {name: _module(name, text, name in packages) for name, text in texts.items()}

    def imports(self, package: str) -> Iterator[Import]:
        """What the modules of a package import."""
        for name, module in self.modules.items():
            if _inside(name, package):
                yield from module.imports
                yield from (read for read in module.reads if read.module in self.modules)

    def target(self, one: Import) -> str:
        """The module that an import loads."""
        below = f"{one.module}.{one.name}"
        return below if one.name and below in self.modules else one.module

    def exported(self, module: str) -> frozenset[str]:
        """The names in a module's ``__all__``; none where it has no list."""
        expression = self.modules[module].exported
        return frozenset() if expression is None else frozenset(ast.literal_eval(expression))


def breaches(root: Path) -> list[str]:
    """List every breach of a rule.

    Args:
        root: The repository, or a copy of it.

    Returns:
        One line per breach, ``importer -> imported: rule``, sorted.
    """
    tree = Tree(root)
    found = set()
    for package in PACKAGES:
        for one in tree.imports(package):
            for rule, broken in _RULES.items():
                if broken(tree, package, one):
                    found.add(f"{one.importer} -> {one.shown}: {rule}")
    return sorted(found)


def circles(root: Path, *, loading: bool) -> list[tuple[str, ...]]:
    """List the groups of modules that import one another in a circle.

    Args:
        root: The repository, or a copy of it.
        loading: Whether only imports count that run when a module is loaded; else those in functions and under
            ``TYPE_CHECKING``, too.

    Returns:
        The groups, each sorted.
    """
    tree = Tree(root)
    arrows: dict[str, set[str]] = {name: set() for name in tree.modules}
    for package in PACKAGES:
        for one in tree.imports(package):
            # The front doors name everything and load nothing of it.
            if (one.loading or not loading) and one.importer not in PACKAGES and tree.target(one) in arrows:
                arrows[one.importer].add(tree.target(one))
    return sorted(group for group in _components(arrows) if len(group) > 1)


def _reads_core_internals(tree: Tree, package: str, one: Import) -> bool:
    if package == CORE or not _inside(one.module, CORE):
        return False
    public = one.module in (CORE, f"{CORE}.errors") or _inside(one.module, f"{CORE}.adapters")
    return not (public and not _private(one.module) and _exported(tree, one))


def _reads_the_front_door(tree: Tree, package: str, one: Import) -> bool:
    """Whether a module reads from ``onnxembed`` itself, which names all that is above and beside it."""
    if package != CORE or tree.target(one) != CORE or one.name == "__version__":
        return False
    return not any(_inside(one.importer, f"{CORE}.{room}") for room in ABOVE_THE_KINDS)


def _reads_adapter_internals(tree: Tree, package: str, one: Import) -> bool:
    owner = next((ours for ours in ADAPTERS if _inside(one.module, ours)), package)
    if owner == package:
        return False
    return _private(one.module) or not _exported(tree, one)


def _reads_undeclared(_: Tree, package: str, one: Import) -> bool:
    root = one.module.partition(".")[0]
    if package != CORE or root in (CORE, *sys.stdlib_module_names) or root in DEPENDENCIES:
        return False
    shared = _inside(one.importer, f"{CORE}.adapters") and root in DEPENDENCIES_OF_SHARED_PARTS
    return not shared and (one.importer, root) not in OPTIONAL


def _reads_private_name(tree: Tree, _: str, one: Import) -> bool:
    private = one.name.startswith("_") and not one.name.startswith("__")
    ours = any(_inside(one.module, package) for package in PACKAGES)
    return ours and private and f"{one.module}.{one.name}" not in tree.modules


def _exported(tree: Tree, one: Import) -> bool:
    """Whether a module gives a name to others; a public submodule counts, too."""
    below = f"{one.module}.{one.name}"
    if below in tree.modules:
        return not _private(below)
    return one.module in tree.modules and one.name in tree.exported(one.module)


_RULES: dict[str, Callable[[Tree, str, Import], bool]] = {
    "an adapter reads the core through its public names": _reads_core_internals,
    "in the core, only what is above the kinds reads the front door": _reads_the_front_door,
    "another adapter package is read through its public names": _reads_adapter_internals,
    "the core imports its dependencies only": _reads_undeclared,
    "private names stay in their module": _reads_private_name,
}


def _texts(root: Path) -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for folder in ROOTS:
            base = root / folder
            for path in sorted((base / Path(*package.split("."))).rglob("*.py")):
                parts = path.relative_to(base).with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                yield name, path.read_text(encoding="utf-8")


@cache  # a tree that differs in one line is read again for that module alone
def _module(name: str, text: str, is_package: bool) -> Module:
    tree = ast.parse(text, filename=name)
    statements = [*_statements(tree.body, loading=True)]
    exported = (
        statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in statement.targets)
    )
    return Module(
        tuple(_imports(name, statements, is_package)),
        tuple(_reads(name, tree, statements, is_package)),
        next(exported, None),
    )


def _imports(importer: str, statements: Iterable[_Statement], is_package: bool) -> Iterator[Import]:
    for node, loading in statements:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, alias.name, "", loading)
        else:
            module = _absolute(importer, node, is_package)
            for alias in node.names:
                yield Import(importer, module, alias.name, loading)


def _reads(importer: str, tree: ast.Module, statements: Iterable[_Statement], is_package: bool) -> Iterator[Import]:
    """What is read by a dot off what is imported, as if it were imported by itself."""
    bound: dict[str, str] = {}
    for node, _ in statements:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                bound[alias.asname or alias.name] = f"{_absolute(importer, node, is_package)}.{alias.name}"
            elif alias.asname is not None:
                bound[alias.asname] = alias.name
    for read in ast.walk(tree):
        if isinstance(read, ast.Attribute) and isinstance(read.value, ast.Name) and read.value.id in bound:
            yield Import(importer, bound[read.value.id], read.attr, loading=False)


def _absolute(importer: str, node: ast.ImportFrom, is_package: bool) -> str:
    """The module that ``from ... import`` names, without leading dots."""
    module = node.module or ""
    if not node.level:
        return module
    base = importer.split(".")[: None if is_package and node.level == 1 else -node.level + is_package]
    return ".".join([*base, *([module] if module else [])])


def _statements(body: Iterable[ast.AST], *, loading: bool) -> Iterator[_Statement]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, loading
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _statements(node.body, loading=False)
            yield from _statements(node.orelse, loading=loading)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            # No statement is in an expression.
            children = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)]
            yield from _statements(children, loading=loading and not inside)


def _components(arrows: dict[str, set[str]]) -> Iterator[tuple[str, ...]]:
    """Strongly connected components, by reachability: the graph has some hundred modules."""
    reach = {name: _reachable(arrows, name) for name in arrows}
    left = set(arrows)
    while left:
        name = min(left)
        group = {name} | {other for other in reach[name] if name in reach[other]}
        left -= group
        yield tuple(sorted(group))


def _reachable(arrows: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        for other in arrows[ahead.pop()] - seen:
            seen.add(other)
            ahead.append(other)
    return seen


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _private(module: str) -> bool:
    return any(part.startswith("_") for part in module.split("."))


def main() -> int:
    """List the breaches.

    Returns:
        The exit status.
    """
    root = Path(__file__).parents[1]
    lines = breaches(root) + [" -> ".join((*group, group[0])) for group in circles(root, loading=True)]
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
