"""Compares what a module of ours asks of TensorRT and PyCUDA with what their bindings offer, by walking its AST.

Every attribute of ``trt`` and ``cuda``, and of an object whose type follows from an annotation, a constructor or a
recorded return type, must exist; a method must be called, with known keywords and no more arguments than it takes; a
subclass must override what the runtime calls back, under the runtime's parameter names.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ALIASES = {"tensorrt": "trt", "pycuda.driver": "cuda"}


@dataclass(frozen=True)
class Kind:
    """What an expression is: ``module``, ``class``, ``enum``, ``value``, ``function``, ``method`` and so on."""

    kind: str
    api: str
    name: str = ""
    member: str = ""


@dataclass
class Api:
    """One recorded listing."""

    alias: str
    version: str
    classes: dict[str, dict[str, Any]]
    enums: dict[str, list[str]] = field(default_factory=dict)
    functions: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Api:
        listing = json.loads(path.read_text())
        alias = "cuda" if path.name.startswith("pycuda") else "trt"
        return cls(alias, **listing)

    def members(self) -> set[str]:
        """Names of methods and properties that are long enough to mean nothing else."""
        names: set[str] = set()
        for described in self.classes.values():
            names |= set(described["methods"]) | set(described["properties"])
        return {name for name in names if "_" in name.strip("_")}

    def attribute(self, owner: Kind, name: str) -> Kind | None:
        """What ``owner.name`` is; None where there is no such thing."""
        if owner.kind == "module":
            if name in self.classes:
                return Kind("class", self.alias, name)
            if name in self.enums:
                return Kind("enum", self.alias, name)
            return Kind("function", self.alias, name) if name in self.functions else None
        if owner.kind == "enum":
            return Kind("value", self.alias, owner.name) if name in self.enums[owner.name] else None
        if owner.kind == "class" and f"{owner.name}.{name}" in self.enums:
            return Kind("enum", self.alias, f"{owner.name}.{name}")
        described = self.classes[owner.name]
        if name in described["methods"]:
            return Kind("method", self.alias, owner.name, name)
        if name in described["properties"]:
            return Kind("property", self.alias, owner.name, name)
        return None

    def signatures(self, called: Kind) -> list[tuple[list[str], str]]:
        """Parameters and return type of each overload; empty where they are not recorded."""
        if called.kind == "function":
            texts = self.functions[called.name]
        else:
            name = "__init__" if called.kind == "class" else called.member
            texts = self.classes[called.name]["methods"].get(name, [])
        pairs = [text.split(" -> ") for text in texts]
        return [([name for name in parameters.split(", ") if name], returned) for parameters, returned in pairs]


class ApiCheck(ast.NodeVisitor):
    """Walks one module; `problems` holds a line for each thing that the listings do not know."""

    def __init__(self, source: str, apis: list[Api]) -> None:
        self.apis = {api.alias: api for api in apis}
        self.problems: list[str] = []
        self.checked: list[tuple[int, str]] = []
        self._members = set().union(*(api.members() for api in apis))
        self._types: list[dict[str, Kind]] = [{}]
        self._own: dict[str, Kind] = {}
        self._called: set[ast.Attribute] = set()
        tree = ast.parse(source)
        self._defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._bind_import(node)
        self._returns = {
            node.name: self._annotated(node.returns)
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.returns is not None
        }
        self.visit(tree)

    # What names stand for

    def _bind_import(self, node: ast.Import) -> None:
        for name in node.names:
            alias = ALIASES.get(name.name)
            if alias in self.apis:
                self._types[0][name.asname or name.name] = Kind("module", alias)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        outer, self._own = self._own, {}
        for child in ast.walk(node):
            if isinstance(child, ast.AnnAssign):
                kind = self._annotated(child.annotation)
                name = child.target.attr if isinstance(child.target, ast.Attribute) else getattr(child.target, "id", "")
                if kind is not None:
                    self._own[name] = kind
        for base in node.bases:
            self._check_overrides(node, base)
        self.generic_visit(node)
        self._own = outer

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        local: dict[str, Kind] = {}
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            kind = self._annotated(argument.annotation) if argument.annotation else None
            if kind is not None:
                local[argument.arg] = kind
        self._types.append(local)
        self.generic_visit(node)
        self._types.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        kind = self._kind(node.value)
        for target in node.targets:
            if kind is not None and isinstance(target, ast.Name):
                self._types[-1][target.id] = kind

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        kind = self._annotated(node.annotation)
        if kind is not None and isinstance(node.target, ast.Name):
            self._types[-1][node.target.id] = kind

    # What is asked of them

    def visit_Call(self, node: ast.Call) -> None:
        called = self._kind(node.func)
        if isinstance(node.func, ast.Attribute):
            self._called.add(node.func)
        if called is not None and called.kind == "property":
            self._problem(node, f"{called.name}.{called.member} is a property and cannot be called")
        if called is not None and called.kind in ("function", "method", "class"):
            self._check_arguments(node, called)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        owner = self._kind(node.value)
        if owner is None or owner.kind not in ("module", "class", "enum", "instance"):
            if node.attr in self._members - self._defined:
                self._problem(node, f"{ast.unparse(node)}: the type of {ast.unparse(node.value)} is not known here")
            return
        found = self.apis[owner.api].attribute(owner, node.attr)
        self.checked.append((node.lineno, f"{owner.api}.{owner.name}.{node.attr}"))
        if found is None:
            where = f"{owner.api}.{owner.name}".rstrip(".")
            self._problem(node, f"{where} has no {node.attr} in version {self.apis[owner.api].version}")
        elif found.kind == "method" and owner.kind == "instance" and node not in self._called:
            self._problem(node, f"{owner.name}.{node.attr} is a method and is not called")
        elif isinstance(node.ctx, ast.Store) and found.kind != "property":
            self._problem(node, f"{owner.name}.{node.attr} cannot be assigned to")

    def _check_arguments(self, node: ast.Call, called: Kind) -> None:
        signatures = self.apis[called.api].signatures(called)
        given = len(node.args)
        # Base.__init__(self, ...) hands over the instance as well.
        if called.kind == "method" and called.member == "__init__":
            given -= 1
        keywords = [keyword.arg for keyword in node.keywords if keyword.arg]
        fits = any(
            given + len(keywords) <= len(parameters) and set(keywords) <= set(parameters[given:])
            for parameters, _ in signatures
        )
        if signatures and not fits:
            self._problem(node, f"{ast.unparse(node)} does not fit {signatures}")

    def _check_overrides(self, node: ast.ClassDef, base: ast.expr) -> None:
        kind = self._kind(base)
        if kind is None or kind.kind != "class":
            return
        defined = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
        api = self.apis[kind.api]
        for name in api.classes[kind.name]["methods"]:
            if name.startswith("__"):
                continue
            parameters = [argument.arg for argument in defined[name].args.args[1:]] if name in defined else None
            wanted = api.signatures(Kind("method", kind.api, kind.name, name))[0][0]
            if parameters != wanted:
                self._problem(node, f"{node.name} must define {name}({', '.join(wanted)}), which {kind.name} calls")

    # Types

    def _annotated(self, node: ast.expr) -> Kind | None:
        if isinstance(node, ast.BinOp):
            return self._annotated(node.left) or self._annotated(node.right)
        kind = self._kind(node)
        return Kind("instance", kind.api, kind.name) if kind is not None and kind.kind == "class" else None

    def _kind(self, node: ast.expr) -> Kind | None:
        if isinstance(node, ast.Name):
            return next((types[node.id] for types in reversed(self._types) if node.id in types), None)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "self" and node.attr in self._own:
                return self._own[node.attr]
            owner = self._kind(node.value)
            if owner is None or owner.kind not in ("module", "class", "enum", "instance"):
                return None
            return self.apis[owner.api].attribute(owner, node.attr)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and self._returns.get(node.func.id) is not None:
                return self._returns[node.func.id]
            return self._returned(self._kind(node.func))
        return None

    def _returned(self, called: Kind | None) -> Kind | None:
        if called is None or called.kind not in ("class", "method", "function"):
            return None
        if called.kind == "class":
            return Kind("instance", called.api, called.name)
        api = self.apis[called.api]
        for _, returned in api.signatures(called):
            if returned in api.classes:
                return Kind("instance", called.api, returned)
        return None

    def _problem(self, node: ast.AST, text: str) -> None:
        self.problems.append(f"line {getattr(node, 'lineno', 0)}: {text}")


def users(package: Path) -> Iterator[Path]:
    """Modules of a package that import TensorRT or PyCUDA."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import) and any(name.name in ALIASES for name in node.names):
                yield path
                break
