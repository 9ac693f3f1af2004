"""The application: its verbs, and how every failure ends."""

import argparse
import io
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import counterpoint
from counterpoint.cli import _fit, _landscape, _merge, _predict, _report, _update
from counterpoint.cli._say import note
from counterpoint.errors import InputError, nearest

# Any key of a recipe is an option without being declared: recipes grow, and help stays short.
_OVERRIDE = re.compile(r"--([a-z_]+\.[a-z_]+)(?:=(.*))?", re.DOTALL)
_ABOUT = "One network, several goals, and a model that knows what it knows."
_VERBS = {
    "fit": _fit,
    "predict": _predict,
    "update": _update,
    "merge": _merge,
    "report": _report,
    "landscape": _landscape,
}


# how torch's allocator of the CPU begins what it says; it has no exception of its own
_NO_MEMORY = "DefaultCPUAllocator"


class _Parser(argparse.ArgumentParser):
    """Refuses like the rest of the command: one line, no usage text."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ends in `SystemExit`, status 2 for what the user has to change.

    Args:
        arguments: without the program's name; none means those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        # a terminal or a pipe that is not UTF-8 shows "R²" as it can; what was written is written
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _run(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:
        # whoever read our output has stopped reading; there is nobody left to tell
        sys.stderr.close()
        raise SystemExit(0) from None
    except (InputError, OSError) as error:
        note(f"counterpoint: {error}")
        raise SystemExit(2) from None
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and _NO_MEMORY not in str(error):
            raise
        note(f"counterpoint: {_out_of_memory(error)}")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("counterpoint: interrupted\n")
        raise SystemExit(130) from None
    raise SystemExit(0)


def _out_of_memory(error: BaseException) -> str:
    """What was asked for, and what makes it less."""
    asked = re.search(r"allocate (\d+) bytes", str(error))
    how_much = f" ({int(asked[1]):,} bytes were asked for at once)" if asked else ""
    return (
        f"out of memory{how_much}; give fewer rows or columns at a time, or lower --network.width,"
        " --network.members or --training.batch_size"
    )


def rewrite(arguments: Sequence[str]) -> list[str]:
    """Turn every ``--section.key VALUE`` into ``--set=section.key=VALUE``.

    Raises:
        InputError: an override without a value.
    """
    words: list[str] = []
    queue = list(arguments)
    while queue:
        word = queue.pop(0)
        match = _OVERRIDE.fullmatch(word)
        if match is None:
            words.append(word)
        elif match[2] is not None:
            words.append(f"--set={match[1]}={match[2]}")
        elif queue and not queue[0].startswith("--"):
            words.append(f"--set={match[1]}={queue.pop(0)}")
        else:
            raise InputError(f"{word}: expected a value after it")
    return words


def _run(typed: list[str]) -> None:
    parser = _Parser(prog="counterpoint", description=_ABOUT)
    parser.add_argument("--version", action="version", version=counterpoint.__version__)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    parsers: dict[str, argparse.ArgumentParser] = {}
    for name, module in _VERBS.items():
        text = module.run.__doc__ or ""
        parsers[name] = verbs.add_parser(
            # no abbreviations: what is short for one option today would be ambiguous with the next
            # one
            name,
            help=text.split("\n")[0],
            description=text,
            allow_abbrev=False,
        )
        module.add(parsers[name])
    arguments, unknown = parser.parse_known_args(rewrite(typed))
    if arguments.verb is None:
        parser.print_help()
        return
    if unknown:
        actions = parsers[arguments.verb]._actions
        known = [sign for action in actions for sign in action.option_strings]
        close = nearest(unknown[0], known) if unknown[0].startswith("-") else ""
        raise InputError(f"{arguments.verb}: cannot use {unknown[0]!r}{close}")
    arguments.typed = typed
    _VERBS[arguments.verb].run(arguments)
