"""Finds the users' code and the task types in it; what is wrong with it is said in one line."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import tq_core
from tq_core.errors import InvalidInputError, TqError
from tq_core.roles.schedules import Schedule
from tq_core.tasks.task import TaskDefinition
from tq_core.tasks.task_queue import TaskQueue

SAMPLES = "tq_worker.samples"
_OURS = tuple(str(Path(tq_core.__file__).parent.parent / name) + os.sep for name in ("tq_core", "tq_worker"))
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_HELP = "give MODULE or MODULE:OBJECT, where OBJECT is a tq_core.TaskQueue"


class AppRefusedError(InvalidInputError):
    """The users' code cannot be loaded."""

    code = "app_refused"


class LoadedApps:
    """Everything that the given modules define."""

    def __init__(
        self, queues: list[TaskQueue], tasks: dict[str, TaskDefinition], schedules: dict[str, Schedule]
    ) -> None:
        self.task_queues, self.tasks, self.schedules = queues, tasks, schedules


def load_apps(specs: tuple[str, ...], app_dir: str) -> LoadedApps:
    """Imports the modules, the folder first on the path, and collects their task types.

    Raises:
        AppRefusedError: one of them cannot be used; says which, why and where.
    """
    folder = str(Path(app_dir).resolve())
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    found: list[TaskQueue] = []
    origin: dict[str, str] = {}
    tasks: dict[str, TaskDefinition] = {}
    schedules: dict[str, Schedule] = {}
    for spec in specs:
        task_queue = _load(spec, folder)
        if any(task_queue is known for known in found):
            continue
        found.append(task_queue)
        for name, definition in task_queue.tasks.items():
            if name in tasks:
                raise AppRefusedError(
                    f"the task type {name!r} is defined by both {origin[name]} and {spec}: rename one of them"
                )
            if not callable(definition.handler):
                raise AppRefusedError(f"the handler of {name!r} in {spec} is no function but {definition.handler!r}")
            tasks[name], origin[name] = definition, spec
        for name, schedule in task_queue.schedules.items():
            if name in schedules:
                raise AppRefusedError(
                    f"the schedule {name!r} is declared by {spec} and by another module: rename one of them"
                )
            schedules[name] = schedule
    return LoadedApps(found, tasks, schedules)


def _load(spec: str, folder: str) -> TaskQueue:
    module_name, colon, path = spec.partition(":")
    if module_name.endswith(".py"):
        said = f"{_module_of(module_name)}{colon}{path}"
        raise AppRefusedError(f"{spec!r} names a file: say {said} for the module in it")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise AppRefusedError(f"{spec!r} does not name a module: {_HELP}")
    if colon and not path:
        raise AppRefusedError(f"{spec} names no object: {_HELP}")
    module = _import(module_name, folder)
    if path:
        return _named(module, module_name, path)
    queues = {id(value): name for name, value in vars(module).items() if isinstance(value, TaskQueue)}
    if len(queues) == 1:
        return vars(module)[next(iter(queues.values()))]  # type: ignore[no-any-return]
    if not queues:
        raise AppRefusedError(
            f"the module {module_name!r} has no TaskQueue in it: write `tq = TaskQueue()` there, or {_HELP}"
        )
    names = sorted(queues.values())
    raise AppRefusedError(
        f"the module {module_name!r} has {len(names)} TaskQueues: say which, e.g. {module_name}:{names[0]} "
        f"(found {', '.join(names)})"
    )


def _named(module: Any, module_name: str, path: str) -> TaskQueue:
    value = module
    for part in path.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            known = sorted(name for name, found in vars(module).items() if isinstance(found, TaskQueue))
            hint = f"; it has {', '.join(known)}" if known else ""
            raise AppRefusedError(f"the module {module_name!r} has no {path!r}{hint}") from None
    if not isinstance(value, TaskQueue):
        raise AppRefusedError(f"{module_name}:{path} is no TaskQueue but {type(value).__name__}: {_HELP}")
    return value


def _import(name: str, folder: str) -> Any:
    try:
        return importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 - users' code runs here; its sys.exit() must be reported, not obeyed
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name is not None
            and f"{name}.".startswith(f"{error.name}.")
        ):
            raise AppRefusedError(
                f"there is no module {error.name!r} in {folder} or among the installed ones: check the name, or give "
                "--app-dir"
            ) from None
        advice = ""
        if isinstance(error, ModuleNotFoundError):
            advice = f": install it for {sys.executable}, or check the name"
        raise AppRefusedError(f"cannot import {name!r}: {_cause(error, folder)}{advice}") from None


def _cause(error: BaseException, folder: str) -> str:
    """One line: what was raised, and the line of the users' code that it came from."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    lines = (error.message if isinstance(error, TqError) else str(error)).splitlines()
    name = "" if isinstance(error, TqError) else type(error).__name__
    said = ": ".join(filter(None, [name, lines[0] if lines else ""]))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    in_folder = [f for f in frames if f.filename.startswith(folder + os.sep) and not f.filename.startswith(_OURS)]
    elsewhere = [f for f in frames if not f.filename.startswith((*_OURS, *_LIBRARIES))]
    known = in_folder or elsewhere or frames
    return f"{said} ({known[-1].filename}:{known[-1].lineno})" if known else said


def _module_of(file: str) -> str:
    return file.removesuffix(".py").strip("./").replace("/", ".")
