"""The sentences of the server that reach the panel, with a {placeholder} for each value, as the template has them.

They are read from the library's code: every text that ends a sentence, in the modules below.
"""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent.parent / "lib_ipadapter"
MODULES = (
    "base/file_names",
    "engine/compatibility",
    "engine/encoding_cost",
    "engine/prepare",
    "engine/token_plan",
    "faces/face_finder",
    "faces/insightface_models",
    "faces/portraits",
    "files/download_queue",
    "files/downloads",
    "files/hub",
    "files/known_files",
    "files/model_files",
    "files/subjects",
    "files/subject_folder",
    "files/subject_record",
    "files/subject_zips",
    "hosts/many_references",
    "hosts/other_extensions",
    "hosts/tries",
    "review/face_preview",
    "review/likeness_report",
    "review/poor_results",
    "review/readiness",
    "review/reference_check",
    "unit/contradictions",
    "unit/recipe",
    "unit/restore",
    "web/pasted",
    "web/recipes",
    "weights/adapter_file",
    "weights/recognition",
    "weights/tensor_file",
)
"""Modules whose sentences people meet in the panel. Other sentences are about requests that the panel does not make."""

NOT_FOR_PEOPLE = (
    " overwrite to true",
    " adopt to true",
    "base64",
    "is required:",
    "must be ",
    "must have ",
    "(?",
    "  ",
)
"""Parts of sentences about what only a program can send, and of texts that are no sentences."""

FRAGMENTS = (
    "{missing} cannot be found",
    "an import fails ({error})",
    "an image embedding",
    "hidden states",
    "face embeddings",
    "has a different network, which is not supported yet",
    "is {base}, which has no U-Net",
    "is {base}, which has no U-Net, and {known} is not supported yet",
    "is a {base} with other blocks, as pruned or converted ones have",
    "{base}, which has no U-Net",
    "{base}, which has no U-Net, and {known} is not supported yet",
    "a {base} with other blocks, as pruned or converted ones have",
    "the connection ended early",
    "the server sent the wrong part of the file",
    "the installed onnxruntime has no CUDA support; onnxruntime-gpu has",
    "{title} by its name",
    "{title} by its hash",
    "{title} by default",
    "{title}, face models {pack}",
    "{title}, face models {pack}, image encoder {file}",
    "{title}, image encoder {file}",
)
"""Values that stand in sentences and are made of words themselves, and notes that are no sentences."""

FIELD = "{field} "
"""Stands before what is said about a field or a file, which begins with a small letter."""

Texts = tuple[str, ...]
"""What an expression can read."""


def sentences() -> set[str]:
    """Return all sentences, and one of those that differ in the names of their placeholders only."""
    found = (sentences_of((LIBRARY / f"{name}.py").read_text(encoding="utf-8")) for name in MODULES)
    texts = sorted({*FRAGMENTS, *(text for each in found for text in each)})
    return set({re.sub(r"\{\w+\}", "{}", text): text for text in texts}.values())


def sentences_of(code: str) -> Iterator[str]:
    """Yield the sentences in a module's code, without its docstrings and what it only logs."""
    tree = ast.parse(code)
    constants = _assigned(tree.body)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for scope in (*functions, tree):
        own = constants | _assigned(ast.walk(scope)) if isinstance(scope, ast.FunctionDef) else constants
        yield from _sentences_in(scope, own)


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, ast.expr]:
    """Return the texts that are assigned to a name, by name."""
    made = [node for node in nodes if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    return {ast.unparse(node.targets[0]): node.value for node in made if _reads(node.value)}


def _reads(value: ast.expr) -> bool:
    """Return whether a value is a text, at least in one case."""
    if isinstance(value, ast.IfExp):
        return _reads(value.body) or _reads(value.orelse)
    return isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and isinstance(value.value, str))


def _sentences_in(scope: ast.AST, assigned: Mapping[str, ast.expr]) -> Iterator[str]:
    nodes = list(_inside(scope))
    parts = {id(part) for node in nodes for part in _parts(node, assigned)}
    for node in nodes:
        if id(node) in parts or not isinstance(node, (ast.JoinedStr, ast.Constant)):
            continue
        for text in _texts(node, assigned):
            if sentence := _sentence(text):
                yield sentence


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function or module, without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _inside(child)


def _sentence(text: str) -> str:
    """Return a text as the template has it, or "" if it is none for people."""
    text = re.sub(r"(?<=\.)\{\w+\}$", "", text).strip()  # advice may follow, which is a sentence of its own
    is_sentence = " " in text and text[-1] in ".?" and not any(part in text for part in NOT_FOR_PEOPLE)
    if is_sentence and text[0].islower():
        return FIELD + text.replace(FIELD.strip(), "{field2}")  # another field, named in what is said about the first
    return text if is_sentence else ""


def _parts(node: ast.AST, assigned: Mapping[str, ast.expr]) -> list[ast.expr]:
    """Return the texts in a node that nobody sees, or that are parts of another."""
    if isinstance(node, ast.Expr):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        names = [part.value.id for part in node.values if _is_name(part)]
        resolved = [assigned[name] for name in names if name in assigned]
        return [*node.values, *resolved, *(each for one in resolved for each in _branches(one))]
    is_logged = isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.")
    return node.args if isinstance(node, ast.Call) and is_logged else []


def _is_name(part: ast.expr) -> bool:
    return isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name)


def _branches(value: ast.expr) -> list[ast.expr]:
    return [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]


def _texts(node: ast.expr, assigned: Mapping[str, ast.expr]) -> Texts:
    """Return what a text in the code can read, with placeholders for its values."""
    if isinstance(node, ast.Constant):
        return (formatted(node.value),) if isinstance(node.value, str) else ()
    names: dict[str, str] = {}  # by expression
    parts = [_alternatives(part, names, assigned) for part in node.values] if isinstance(node, ast.JoinedStr) else []
    return tuple("".join(chosen) for chosen in itertools.product(*parts))


def formatted(text: str) -> str:
    """Return a text for `str.format` with names for its fields without one."""
    numbers = itertools.count(1)
    return re.sub(r"\{(?::[^}]*)?\}", lambda _: "{n}" if (n := next(numbers)) == 1 else f"{{n{n}}}", text)


def _alternatives(part: ast.expr, names: dict[str, str], assigned: Mapping[str, ast.expr]) -> Texts:
    """Return what a part of an f-string can read: a text, one of several, or the placeholder of a value."""
    if isinstance(part, ast.Constant):
        return (str(part.value),)
    value = part.value if isinstance(part, ast.FormattedValue) else part
    known = assigned.get(value.id) if isinstance(value, ast.Name) else value
    if known is None or not _reads(known):
        return (_placeholder(value, names),)
    return tuple(
        text
        for branch in _branches(known)
        for text in (_texts(branch, {}) if _reads(branch) else (_placeholder(value, names),))
    )


def _placeholder(value: ast.expr, names: dict[str, str]) -> str:
    expression = ast.unparse(value)
    if expression not in names:
        name = _name(value)
        same = sum(each.rstrip("0123456789") == name for each in names.values())
        names[expression] = f"{name}{same + 1}" if same else name
    return f"{{{names[expression]}}}"


def _name(value: ast.expr) -> str:
    """Return a name for a value, from the last name in the expression that makes it."""
    if isinstance(value, ast.Call):
        is_joined = isinstance(value.func, ast.Attribute) and value.func.attr == "join"
        return _name(value.args[-1]) if value.args and (is_joined or isinstance(value.func, ast.Name)) else "value"
    if isinstance(value, (ast.Subscript, ast.GeneratorExp)):
        return _name(value.value if isinstance(value, ast.Subscript) else value.elt)
    if isinstance(value, ast.BoolOp):
        return _name(value.values[0])
    if isinstance(value, ast.Attribute):
        return "file" if ast.unparse(value).endswith("path.name") else value.attr.strip("_").lower()
    return value.id.strip("_").lower() if isinstance(value, ast.Name) else "value"
