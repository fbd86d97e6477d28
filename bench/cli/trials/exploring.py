"""The work of ``bench explore``: the search for the cells of a large study that are worth their cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.cli.console import PlainConsole, console_for_people
from bench.cli.display import Tally, display_for, table_of
from bench.cli.documents.document import Document, Give, keep_silent
from bench.cli.documents.trials import ExploreDocument, FoundCell, RunDocument
from bench.cli.trials.lock import at_work
from bench.cli.trials.running import need_a_home
from bench.cli.trials.tuning import only_search
from bench.data.decoded.shelf import Shelf
from bench.protocol.columns import column
from bench.protocol.setting import STAGES
from bench.run.handling import Handling
from bench.run.processes.stopping import Stopped
from bench.run.resources import Resources
from bench.run.schedule.schedule import Schedule
from bench.run.trial import Trial
from bench.study.explored import ChosenCells, write_chosen
from bench.study.source import Source, load, load_study


def search(
    source: Source,
    results: Path,
    budget: int,
    objectives: Sequence[str],
    seed: int,
    resources: Resources,
    shelf: Shelf | None,
    handling: Handling,
    give: Give,
) -> tuple[Source, Give]:
    """Search the best cells, and write the files that list all that were tried and those on the front.

    Args:
        source: the study; without seeds, its first one is taken.
        results: the folder of all results.
        budget: the number of cells that are tried.
        objectives: the names of the columns that are to be good.
        seed: the seed of the proposals.
        resources: the CPUs and GPUs that trials take.
        shelf: the shelf of decoded samples, whose files are not decoded again for the check of the data.
        handling: the time limit of a trial, and what is kept of it.
        give: the function that takes the document.

    Returns:
        The form of the study that has all cells that were tried, and the function that takes the document of its run.

    Raises:
        BenchError: if the study cannot be explored.
        Stopped: on Ctrl-C, SIGTERM or a hang-up.
    """
    need_a_home()
    # Ray and Optuna are imported here, because their import takes two seconds and few commands need both.
    from bench.run.execute import execute
    from bench.run.search.exploring import EXPLORED, FRONT, Exploration, check_objectives, explore
    from bench.run.search.storage import opened

    console = console_for_people()
    if source.seeds is None:
        source = replace(source, seeds=load_study(source.path, source.size).seeds[:1])
    none_yet = replace(source, explored=ChosenCells("", ()))
    loaded = load(none_yet)
    check_objectives(objectives, loaded.study)
    loaded.check_data(shelf)
    folder = results / loaded.folder_name
    folder.mkdir(parents=True, exist_ok=True)
    exploration = Exploration(none_yet, objectives, budget, seed, folder, resources)

    def run(schedule: Schedule, trials: Sequence[Trial]) -> None:
        tally = Tally(trials, {stage: resources.at_a_time(stage) for stage in STAGES})
        with display_for(tally, console) as display:
            execute(trials, folder, resources, display, handling, run=presence.run)

    with at_work(folder) as presence, only_search(folder, presence.run):
        try:
            cells = explore(exploration, opened(folder), run, lambda line: console.print(line, soft_wrap=True))
        except Stopped as stopped:
            stopped.obeyed()
            give(ExploreDocument(folder=str(folder), cells=[], explored=None, front=None, stopped_by=stopped.name))
            console.print(f"Stopped by {stopped.name}. Run the same command again to go on.")
            stopped.told = True
            raise
        explored = write_chosen([cell.name for cell in cells], folder / EXPLORED)
        front = write_chosen([cell.name for cell in cells if cell.on_front], folder / FRONT)
    found = [
        FoundCell(
            variant=cell.name,
            levels=dict(cell.levels),
            values=None if cell.values is None else dict(cell.values),
            on_front=cell.on_front,
        )
        for cell in cells
    ]
    _print_front(found, objectives, console)
    console.print(f"They are in {front.path}: bench run … --explored {front.path} trains them with every seed.")

    def give_both(run: Document) -> None:
        assert isinstance(run, RunDocument)
        give(
            ExploreDocument(
                folder=str(folder),
                cells=found,
                explored=explored.path,
                front=front.path,
                stopped_by=run.stopped_by,
                run=run,
            )
        )

    return replace(source, explored=explored), keep_silent if give is keep_silent else give_both


def _print_front(cells: Sequence[FoundCell], objectives: Sequence[str], console: PlainConsole) -> None:
    """Print the cells on the front, the best by the first objective at the head."""
    columns = [column(name) for name in objectives]
    table = table_of("on the front", *(each.title for each in columns), numeric=[each.title for each in columns])
    better = -1 if columns[0].better == "higher" else 1
    front = [(cell, cell.values) for cell in cells if cell.on_front and cell.values is not None]
    for cell, values in sorted(front, key=lambda pair: better * pair[1][objectives[0]]):
        shown = [each.shown(values[name]) for name, each in zip(objectives, columns, strict=True)]
        table.add_row(cell.variant, *shown)
    console.print(table)
    failed = sum(cell.values is None for cell in cells)
    console.print(
        f"{len(front)} of {len(cells)} cells are on the front"
        f"{f'; {failed} have no score, their records say why' if failed else ''}."
    )
