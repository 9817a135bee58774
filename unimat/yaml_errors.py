"""What is wrong with a text that is no YAML, in one line with its number and the remedy."""

import yaml

_REMEDIES = {
    "mapping values are not allowed": (
        "a key is indented unlike those above it, or text with a colon is unquoted; put the keys of a section into one"
        " column, and quote the text"
    ),
    "could not find expected ':'": "a line without a colon; write `key: value`",
    "found unexpected end of stream": "a quote that is opened is not closed; close it",
    "found undefined alias": "an alias (*name) without its anchor (&name); define it above, or quote the text",
    "but found another document": "a second document begins; keep one, without a line of three hyphens",
    "could not determine a constructor": "a tag (!...) is of no use here; take it out, or quote the text",
    "sequence entries are not allowed": "a hyphen in the wrong place; put each `- item` on a line of its own",
    "found unexpected ':'": "a colon where none can be; quote the text, or put a space after the colon",
    "expected <block end>": "a line is indented unlike those above it; put the keys of a section into one column",
    "second occurrence": "an anchor (&name) of a name that is taken; give it another name",
    "expected alphabetic or numeric character": "a name is missing behind * or &; quote the text",
    "found unhashable key": "a list or a mapping in the place of a key, perhaps for want of quotes; quote it",
}


def explained(error: yaml.YAMLError, text: str) -> str:
    """Line, and what is wrong there, of a text that is no YAML; begins with a comma or a colon."""
    mark, opened = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    problem, context = getattr(error, "problem", None) or "", getattr(error, "context", None) or ""
    if mark is None:
        position = getattr(error, "position", None)
        if position is None:
            return f": not valid YAML ({' '.join(str(error).split())}); mend it"
        return (
            f", line {text[:position].count(chr(10)) + 1}: a control character ({ord(text[position]):#04x}); remove it"
        )
    line, lines = mark.line + 1, text.splitlines()
    content = lines[mark.line] if mark.line < len(lines) else ""
    if "cannot start any token" in problem and content[mark.column : mark.column + 1] == "\t":
        return f", line {line}: a tab, where YAML takes spaces alone; replace it by spaces"
    if "cannot start any token" in problem:
        character = content[mark.column : mark.column + 1]
        return f", line {line}: unquoted text cannot begin with {character!r}; quote it"
    if context.startswith("while parsing a flow") and opened is not None:
        bracket = next((each for each in reversed(text[: opened.index + 1]) if each in "[{"), "{")
        shows = "" if line == opened.line + 1 else f", as line {line} shows"
        return f", line {opened.line + 1}: a {bracket!r} is not closed, or a comma is missing{shows}; close it"
    if opened is not None and "quoted scalar" in context:
        return f", line {opened.line + 1}: a quote is not closed; close it"
    remedy = next((words for part, words in _REMEDIES.items() if part in f"{problem} {context}"), None)
    if "simple key" in context and opened is not None:
        line = opened.line + 1
    return f", line {line}: {remedy or f'not valid YAML ({problem or context}); mend it'}"
