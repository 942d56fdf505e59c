"""The prompt of `tq shell`: completion, history, and keys as in every shell."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.known_names import NamesOnBroker
from tq_console.cli.line import suggestions
from tq_console.view.text import visible
from tq_core.broker.folder import state_root
from tq_core.errors import RefusedError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.history import History

    from tq_console.cli.shell import Session

HISTORY_FILE = "shell_history"


def converse(session: Session) -> int:
    """Takes lines until somebody leaves.

    Raises:
        RefusedError: prompt_toolkit is not installed.
    """
    from tq_console.cli.shell import LEAVE

    try:
        prompt = _prompt_session(session)
    except ModuleNotFoundError as error:
        raise RefusedError(
            "a prompt needs the package prompt_toolkit: pip install 'tq-console[shell]'; "
            "a file or pipe of commands does not: tq shell < FILE"
        ) from error
    session.invocation.out.talk("tq: TAB completes, Ctrl-C ends a command, Ctrl-D leaves; help says more")
    while True:
        try:
            line = prompt.prompt(lambda: _prompt_text(session))
            if line.strip() in LEAVE:
                break
            session.run(line)
        except KeyboardInterrupt:
            continue
        except EOFError:
            break
    return ExitCode.OK


def _prompt_session(session: Session) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.output import ColorDepth, create_output

    known = NamesOnBroker(session.invocation, session.seen)

    class Words(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
            del complete_event
            text = document.text_before_cursor
            for each in suggestions(text, known):
                yield Completion(
                    each.text,
                    start_position=each.start - len(text),
                    display=visible(each.shown),
                    display_meta=visible(each.help),
                )

    output = create_output(always_prefer_tty=True)
    return PromptSession(
        history=_history(session),
        auto_suggest=AutoSuggestFromHistory(),
        completer=Words(),
        complete_in_thread=True,
        complete_while_typing=False,
        color_depth=None if not os.environ.get("NO_COLOR") else ColorDepth.DEPTH_1_BIT,
        enable_history_search=True,
        output=output,
    )


def _history(session: Session) -> History:
    from prompt_toolkit.history import InMemoryHistory

    from tq_console.cli.shell_history import LineFile

    path = state_root(os.environ) / HISTORY_FILE
    try:
        return LineFile(path, session.invocation.masker)
    except OSError as error:
        session.invocation.out.talk(f"tq: {path}: {error.strerror or error}: the history ends with this session")
        return InMemoryHistory()


def _prompt_text(session: Session) -> StyleAndTextTuples:
    address = session.invocation.address
    context = address.context
    where = context.name if context is not None else address.display_url
    marks = "".join(
        f" {word}"
        for word, is_so in (
            ("read-only", context is not None and context.is_read_only),
            ("protected", context is not None and context.is_protected),
            ("json", session.invocation.is_json),
        )
        if is_so
    )
    return [("bold", "tq "), ("", visible(where)), ("italic", marks), ("bold", "> ")]
