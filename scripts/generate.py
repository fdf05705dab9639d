"""Files made from the descriptions of stages, so that nobody writes an option down twice.

src/volproc/__init__.pyi     what type checkers and editors see
docs/options.md              every table and option of a workflow file
docs/commands.md             every command
docs/python.md               every public name of Python
docs/workflow.schema.json    the same for editors that know JSON schemas
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from reference_pages import commands_page, python_page, slug

import volproc
from volproc import functions
from volproc.config.cluster import ClusterOptions
from volproc.config.explaining import item_kind, table_kind
from volproc.config.run import RunOptions
from volproc.workflow.registry import registered
from volproc.workflow.workflow_file import Workflow

ROOT = Path(__file__).resolve().parents[1]
STUB_HEAD = '''"""What volproc offers. Written by scripts/generate from the stages' options.py."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from distributed import Client

{imports}

__version__: str
__all__: list[str]
'''


def main() -> int:
    """Write the files, or with --check say which are out of date."""
    stale = []
    for path, text in files().items():
        if not path.exists() or path.read_text() != text:
            stale.append(path.relative_to(ROOT))
            if "--check" not in sys.argv:
                path.write_text(text)
    print(*(f"{path} was out of date" for path in stale), sep="\n", end="\n" if stale else "")
    return 1 if stale and "--check" in sys.argv else 0


def files() -> dict[Path, str]:
    """The text of every generated file."""
    schema = json.dumps(Workflow.model_json_schema(), indent=1)
    return {
        ROOT / "src/volproc/__init__.pyi": stub(),
        ROOT / "docs/options.md": options_page(),
        ROOT / "docs/commands.md": commands_page(),
        ROOT / "docs/python.md": python_page(),
        ROOT / "docs/workflow.schema.json": f"{schema}\n",
    }


def stub() -> str:
    """Public names with their types: imports, and the functions of stages in full."""
    stages = [stage for stage in registered().values() if stage.command]
    homes = {name: home for name, home in volproc._HOME.items() if home}
    homes |= {name: kind.__module__ for name, kind in functions.options().items()}
    shown = {name: (home, True) for name, home in homes.items()}
    needed = {one.returns for one in stages if one.returns not in ("Any", "str")}
    train = "volproc.stages.train"
    needed |= {"volproc.engine.events.Watcher", f"{train}.options.TrainedOnOptions"}
    needed |= {f"{train}.data_options.{name}" for name in ("DataOptions", "TargetOptions")}
    needed.add(f"{train}.augmentation.options.AugmentationOptions")
    for dotted in needed:
        home, _, name = dotted.rpartition(".")
        shown.setdefault(name, (home, False))
    lines = [
        f"from {home} import {name} as {name}" if public else f"from {home} import {name}"
        for name, (home, public) in sorted(shown.items(), key=lambda one: (one[1], one[0]))
    ]
    modules = [name for name, home in volproc._HOME.items() if not home]
    lines += [f"from volproc import {name} as {name}" for name in modules]
    parts = [STUB_HEAD.format(imports="\n".join(lines)), *map(_function, stages)]
    return _formatted("\n".join(parts))


def _function(stage: Any) -> str:
    found = []
    starred = False
    for one in functions.signature(stage).parameters.values():
        if one.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            starred = True
            found.append("*")
        default = "" if one.default is inspect.Parameter.empty else f" = {_literal(one.default)}"
        found.append(f"{one.name}: {typed(one.annotation)}{default}")
    returns = stage.returns.rpartition(".")[2]
    doc = functions.docstring(stage).replace("\\", "\\\\").replace('"""', "'''")
    doc = "\n".join(f"    {line}".rstrip() for line in doc.splitlines()).lstrip()
    parameters = ", ".join(found)
    return f'def {stage.name}({parameters}) -> {returns}:\n    """{doc}\n    """\n'


def _literal(default: Any) -> str:
    plain = isinstance(default, str | int | float | bool | None | tuple)
    return repr(default) if plain else "..."


def typed(annotation: Any) -> str:
    """A type as Python code, without what only pydantic reads."""
    if isinstance(annotation, str):
        return annotation
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return typed(parts[0])
    if origin in (Union, UnionType):
        return " | ".join(typed(part) for part in parts)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, parts))}]"
    if origin is dict:
        return f"Mapping[{', '.join(map(typed, parts))}]"
    if origin is tuple:
        inner = [typed(part) for part in parts if part is not Ellipsis]
        # what a caller may give: pydantic takes a list where the options hold a tuple
        return f"Sequence[{' | '.join(sorted(set(inner)))}]"
    if annotation is type(None):
        return "None"
    return str(annotation.__name__)


def _formatted(text: str) -> str:
    ast.parse(text)
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check", "--fix", "--select", "I,F401"], ["format"]):
        done = subprocess.run(
            [ruff, *command, "-q", "--stdin-filename", "src/volproc/__init__.pyi", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        text = done.stdout
    return text


def options_page() -> str:
    """Every table of a workflow file, as Markdown."""
    tables: dict[str, Any] = {"run": RunOptions, "cluster": ClusterOptions}
    heads = {"run": "What the run works on, and where it writes.", "cluster": "Who does the work."}
    for name, kind in inner_tables(ClusterOptions):
        tables[f"cluster.{name}"], heads[f"cluster.{name}"] = kind, _doc(kind)
    for stage in registered().values():
        for name, kind in stage.tables.items():
            tables[name], heads[name] = kind, stage.help if name == stage.name else _doc(kind)
            for inner, item in tables_by_item(kind):
                tables[f"{name}.{inner}"], heads[f"{name}.{inner}"] = item, _doc(item)
    lines: list[str] = [
        "# Options",
        "",
        "Every table of a workflow file, in the order of a run; of `volproc NAME`, the flags.",
        "Written by `scripts/generate` from the `options.py` of each stage. A flag is the option's",
        "name with dashes: `[predict] voxel_nm = [50, 10, 10]` is `--voxel-nm 50 10 10`; what has",
        "no flag is given by `--set KEY=VALUE`. The environment counts too:",
        "`VOLPROC_PREDICT__AXES=zy`. A file is overruled by the environment, that by `--set`, and",
        "that by flags. Editors that know JSON schemas complete and check a file that begins with",
        "`#:schema docs/workflow.schema.json`.",
        "",
        " · ".join(f"[[{name}]](#{slug(name)})" for name in tables),
    ]
    for name, kind in tables.items():
        lines += ["", f"## [{name}]", "", heads[name], ""]
        lines += ["| option | default | meaning |", "|---|---|---|"]
        for key, field in kind.model_fields.items():
            told = " ".join((field.description or "").split()).replace("|", "\\|")
            values = _values(field.annotation)
            lines.append(f"| `{field.alias or key}` | {_default(field)} | {told}{values} |")
    return "\n".join(lines) + "\n"


def inner_tables(kind: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """The tables in a table, each kind of options once."""
    found: dict[type[BaseModel], str] = {}
    for name in kind.model_fields:
        inner = table_kind(kind, name)
        if inner:
            found.setdefault(inner, name)
    return [(name, inner) for inner, name in found.items()]


def tables_by_item(kind: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """The tables in a table: one, one of a list, or one per name of yours."""
    found = []
    for name in kind.model_fields:
        one, by_name = item_kind(kind, name), table_kind(kind, name)
        if one:
            found.append((name, one))
        elif by_name and get_origin(kind.model_fields[name].annotation) is dict:
            found.append((f"{name}.NAME", by_name))
        elif by_name:
            found.append((name, by_name))
    return found


def _doc(kind: Any) -> str:
    return str(inspect.getdoc(kind) or "")


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if isinstance(default, BaseModel):
        return "its own table"
    if default in (None, "", (), {}):
        return ""
    text = json.dumps(list(default) if isinstance(default, tuple) else default)
    return f"`{text}`"


def _values(annotation: Any) -> str:
    found = get_args(annotation) if get_origin(annotation) is Literal else ()
    text = ", ".join(f"`{one}`" for one in found)
    return f" One of {text}." if re.search(r"\w", text) else ""


if __name__ == "__main__":
    sys.exit(main())
