"""What the jobs of a workflow ask a scheduler for: the rules' own figures under those of a profile."""

import ast
import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any

from unimat.configuration.resources import Resources

OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


@dataclasses.dataclass(frozen=True)
class Need:
    """The most that one rule's jobs ask for.

    Attributes:
        mem_mb: memory of a job, MB. runtime: minutes. cpus: cores. attempt: which attempt asks for it; the first is 1.
    """

    rule: str
    attempt: int
    mem_mb: float | None = None
    runtime: float | None = None
    cpus: int = 1

    @property
    def memory_gb(self) -> float:
        """Memory in GB; 0 where it is not known."""
        return (self.mem_mb or 0) / 1000


def needs(asked: Mapping[str, Resources], profile: Mapping[str, Any]) -> list[Need]:
    """What the jobs of every rule ask for on each of their attempts, under a profile.

    A value that is neither a number nor arithmetic with `attempt` is None: only Snakemake can say what it is.

    Args:
        asked: what the rules themselves ask for, by name.
    """
    attempts = range(1, int(profile.get("retries") or 0) + 2)
    defaults = profile.get("default-resources") or {}
    found = []
    for name, resources in asked.items():
        threads = (profile.get("set-threads") or {}).get(name) or resources.threads or 1
        for attempt in attempts:
            of_rule = {"mem_mb": resources.memory(attempt), "runtime": resources.runtime(attempt)}
            own = {**defaults, **of_rule, **((profile.get("set-resources") or {}).get(name) or {})}
            at = {key: evaluate(value, attempt) for key, value in own.items()}
            cpus = int((at.get("tasks") or 1) * (at.get("cpus_per_task") or threads))
            per_cpu = at.get("mem_mb_per_cpu")
            memory = per_cpu * cpus if per_cpu else at.get("mem_mb")
            found.append(Need(name, attempt, memory, at.get("runtime"), cpus))
    return found


def evaluate(value: Any, attempt: int) -> float | None:
    """A number, or arithmetic with `attempt`, `min` and `max`, as a profile may have it; None of anything else."""
    if isinstance(value, int | float):
        return value
    try:
        return _number(ast.parse(str(value), mode="eval").body, attempt)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None


def _number(node: ast.AST, attempt: int) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.Name) and node.id == "attempt":
        return attempt
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_number(node.left, attempt), _number(node.right, attempt))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
        return {"min": min, "max": max}[node.func.id](_number(each, attempt) for each in node.args)
    raise ValueError(ast.dump(node))
