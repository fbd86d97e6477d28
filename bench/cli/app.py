"""The program ``bench``: the list of its commands, its entry point, and how faults leave it.

The commands are declared in :mod:`bench.cli.commands`.
"""

from __future__ import annotations

import errno
import sys
from io import TextIOWrapper
from typing import NoReturn

import typer

from bench.cli.commands import networks, results, studies, timings
from bench.cli.commands.data import app as data_app
from bench.cli.console import outlive_terminal, say, understand_names
from bench.cli.options import EXIT_USAGE
from bench.parts import BenchError, shortened
from bench.run.processes.stopping import Stopped, stoppable
from bench.study.faults import fault_line, fault_place

app = typer.Typer(
    name="bench",
    help="""Ablation studies and cost benchmarks for semantic segmentation.

A study is a Python file that names a question, the factors to vary and a recipe. The command check builds its
networks, plan lists the trials, run executes them and writes a report under results/.""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


app.command(epilog=studies.SOURCES)(studies.check)
for command in (
    studies.plan, studies.run, studies.tune, studies.explore, studies.trial, studies.rekey,
    timings.speed, timings.limits, timings.cost,
    networks.convert, networks.evaluate, networks.predict,
    results.report, results.compare, results.export, results.merge, results.clean,
):  # fmt: skip
    app.command()(command)
app.add_typer(data_app, name="data")


_FULL = (errno.ENOSPC, errno.EDQUOT)


def main() -> None:
    """The entry point of the program. A user's mistake is printed without a traceback, and the exit status is 2.

    That is so for whatever the code of a user's component or data set raises, too; ``bench trial`` shows a traceback.

    Characters that the output's encoding lacks are printed as escapes.
    """
    understand_names()
    outlive_terminal()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _refuse_unwritable_names()
        with stoppable():
            app(prog_name="bench")
    except Stopped as stop:
        if not stop.told:
            say(f"bench: stopped by {stop.name}", error=True)
        raise
    except BenchError as error:
        _leave(str(error))
    except OSError as error:
        if error.strerror is None:
            raise
        path = error.filename2 or error.filename
        remedy = "make room there" if error.errno in _FULL else "choose another path, or change what is there"
        _leave(f"{f'{path}: ' if path else ''}{error.strerror}; {remedy}")
    except UnicodeEncodeError as error:  # the name of a file
        lacked = error.object[error.start : error.end]
        remedy = "rename it" if error.encoding == "utf-8" else "set the variable PYTHONUTF8=1"
        _leave(f"{shortened(error.object)}: the locale's encoding {error.encoding} lacks {lacked!r}; {remedy}")
    except Exception as error:  # a component or a data set is a user's code, which may raise anything
        if fault_place(error) is None:
            raise  # none of the user's code took part: a mistake of this package, whose traceback is wanted
        _leave(fault_line(error))


def _refuse_unwritable_names() -> None:
    """Refuse names of files that no plan, record or report can hold.

    Raises:
        BenchError: for the first argument that is not Unicode.
    """
    for argument in sys.argv[1:]:
        if argument != argument.encode(errors="ignore").decode():
            raise BenchError(f"{argument}: this name is not UTF-8, so no record can hold it; rename the file or folder")


def _leave(mistake: str) -> NoReturn:
    say(f"bench: {mistake}", error=True)
    sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
