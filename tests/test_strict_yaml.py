"""YAML that people write: what is wrong with it is told with its line, and nothing of it is lost without a word."""

from pathlib import Path

import pytest

from unimat.errors import UserError
from unimat.materials.relax.settings import RelaxSettings
from unimat.settings import load_settings
from unimat.strict_yaml import misread, parse_document, read_document

BROKEN = {
    "a tab indents": ("a: 1\nb:\n\tc: 2\n", ", line 3: a tab, where YAML takes spaces alone; replace it by spaces"),
    "a tab behind a colon": ("a:\t1\n", ", line 1: a tab, where YAML"),
    "an open brace": (
        "a: 1\nb: {c: 1\nd: 2\n",
        ", line 2: a '{' is not closed, or a comma is missing, as line 3 shows",
    ),
    "an open brace at the end": ("a: 1\nb: {c: 1\n", ", line 2: a '{' is not closed"),
    "an open bracket": ("a: [1, 2\nb: 3\n", ", line 1: a '[' is not closed, or a comma is missing, as line 2 shows"),
    "an open quote": ("a: 1\nb: 'x\nc: 1\n", ", line 2: a quote is not closed; close it"),
    "a colon too many": ("title: UniMat: demo\n", ", line 1: a key is indented unlike those above it, or text with a"),
    "a key further in": ("a: 1\n  b: 2\n", ", line 2: a key is indented unlike those above it"),
    "a key between two columns": ("a:\n    b: 1\n  c: 2\n", ", line 3: a line is indented unlike those above it"),
    "no colon": ("a:\n  b: 1\n  c\n", ", line 3: a line without a colon; write `key: value`"),
    "no space behind the colon": ("a:1\nb: 2\n", ", line 2: a key is indented unlike"),
    "an unquoted at": ("a: @x\n", ", line 1: unquoted text cannot begin with '@'; quote it"),
    "an alias of nothing": ("a: 1\nb: *x\n", ", line 2: an alias (*name) without its anchor"),
    "a tag": ("a: !x 1\n", ", line 1: a tag (!...) is of no use here"),
    "code": ("a: !!python/object/apply:os.system [touch pwned]\n", ", line 1: a tag (!...) is of no use here"),
    "two documents": ("a: 1\n---\nb: 2\n", ", line 2: a second document begins"),
    "an anchor in itself": ("a: &x [*x]\n", ", line 1: an anchor that contains itself"),
    "a control character": ("a: 1\nb: \0\n", ", line 2: a control character (0x00); remove it"),
    "a list as a key": ("{[a]: 1}\n", ", line 1: a list or a mapping in the place of a key"),
    "no such day": ("a: 2020-13-45\n", ": month must be in 1..12"),
    "no end of brackets": ("[" * 3000, ": nested too deeply"),
}
MISTAKEN = {
    "a key twice": (
        "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n",
        [
            ", lines 1 and 5: key 'a' stands twice; keep one of them",
            ", lines 3 and 4: key 'b.c' stands twice; keep one",
        ],
    ),
    "a key twice in braces": ("b: {c: 1, c: 2}\n", [", line 1: key 'b.c' stands twice"]),
    "a key twice in JSON": ('{"a": {"b": 1, "b": 2}}', [": key 'b' stands twice in one mapping; keep one of them"]),
    "a key that is false": (
        "a: {No: 1}\n",
        [", line 1: key a.No: YAML takes the unquoted No for a truth value; quote"],
    ),
    "a number to base 8": ("a: 010\n", [", line 1: a: YAML reads 010 to base 8; leave out the leading zero, or quote"]),
    "a number to base 60": ("a: {b: 1:30}\n", [", line 1: a.b: YAML reads 1:30 to base 60; quote it, or write"]),
    "a date": ("a: [2020-01-31]\n", [", line 1: a.0: YAML reads 2020-01-31 as a date; quote it"]),
    "not a number": (
        "a: .nan\nb: -.inf\n",
        [", line 1: a: .nan is no finite", ", line 2: b: -.inf is no"],
    ),
    "not a number in JSON": ('{"a": [NaN, Infinity]}', [": nan is no finite number; give one", ": inf is no finite"]),
}


@pytest.mark.parametrize(("text", "said"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_yaml_is_told_with_its_line(text: str, said: str):
    with pytest.raises(UserError) as caught:
        parse_document(text, "mine.yaml")
    assert str(caught.value).startswith(f"mine.yaml{said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "said"), MISTAKEN.values(), ids=MISTAKEN)
def test_what_yaml_would_change_without_a_word_is_told(text: str, said: list[str]):
    found = parse_document(text, "mine.yaml").mistakes
    assert len(found) == len(said)
    for line, beginning in zip(found, said, strict=True):
        assert line.startswith(f"mine.yaml{beginning}")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", None),
        ("# nothing\n", None),
        ("a: 1\r\nb: [x, y]\r\n", {"a": 1, "b": ["x", "y"]}),
        ("\ufeffa: é\n", {"a": "é"}),
        ("base: &b {x: 1, y: 2}\nmine: {<<: *b, y: 3}\n", {"base": {"x": 1, "y": 2}, "mine": {"x": 1, "y": 3}}),
        ("a: &b [1]\nc: *b\n", {"a": [1], "c": [1]}),
        ('{\n\t"a": {"b": [1, null, true]}\n}\n', {"a": {"b": [1, None, True]}}),  # JSON may be indented by tabs
        ("faithful: yes\ncounts: [0, -3, 1_000, 0x1F]\n", {"faithful": True, "counts": [0, -3, 1000, 31]}),
        ("formula: NaN\nelements: [Y, N, 'No']\n", {"formula": "NaN", "elements": ["Y", "N", "No"]}),
    ],
)
def test_sound_text_is_read_as_it_stands(text: str, values: object):
    document = parse_document(text, "mine.yaml")
    assert document.values == values
    assert document.mistakes == ()


def test_a_bomb_of_anchors_ends_in_a_line():
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    with pytest.raises(UserError, match="anchors expand to more than"):
        parse_document(text, "mine.yaml")


def test_a_scalar_knows_its_text_and_its_line():
    document = parse_document("x:\n  elements: [C, No, 'No']\n", "mine.yaml")
    taken, quoted = (document.scalars["x", "elements", index] for index in (1, 2))
    assert (taken.text, taken.line, taken.kind) == ("No", 2, "bool")
    assert misread(taken) == "YAML takes the unquoted No for a truth value; quote it: 'No'"
    assert misread(quoted) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            "run: x\ntitle: café\n".encode("latin-1"),
            ", line 2: byte 0xe9 ('é' in latin-1) is not UTF-8, so the file is",
        ),
        ("run: x\n".encode("utf-16"), " is UTF-16 text; save it as UTF-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, data: bytes, said: str):
    path = tmp_path / "mine.yaml"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_document(path)
    assert str(caught.value).startswith(f"{path}{said}")


def test_settings_of_commands_are_read_as_strictly(tmp_path: Path):
    path = tmp_path / "relax.yaml"
    path.write_text("fmax: 0.1\nfmax: 0.2\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"relax.yaml, lines 1 and 2: key 'fmax' stands twice"):
        load_settings(RelaxSettings, path, "relax")
    for text, said in (
        ('{"fmax": 0.1, "fmax": 0.2}', "relax: key 'fmax' stands twice"),
        ('{"fmax": NaN}', "relax: nan is no finite number"),
        ("{fmax: .inf}", "relax, line 1: fmax: .inf is no finite number"),
        ('{"fmax": "nan"}', "relax.fmax: expected float, found 'nan'"),
        ("{engine: chgnet", r"relax, line 1: a '\{' is not closed"),
    ):
        with pytest.raises(UserError, match=said):
            load_settings(RelaxSettings, text, "relax")
    assert load_settings(RelaxSettings, "{fmax: 1e-2}", "relax").fmax == 0.01
