"""The command line: the verbs of hasim on model files. It parses, calls one verb, and shows what came back.

Answers go to standard output, everything else (progress, warnings about the input, errors) to standard error. With
`--json` a result is one JSON object. Exit codes: 0 is an answer, 2 wrong input, 130 Ctrl-C (with what was finished).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from hasim.errors import CannotModel, ModelError

if TYPE_CHECKING:
    from rich.console import Console

    from hasim.model.cluster import Cluster
    from hasim.results import Run, Sample, Solution

app = typer.Typer(
    help="How available will a cluster be, what happens when something breaks, and how sure are we?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

WRONG_INPUT = 2
INTERRUPTED = 130
STORY_OVER, STORY_AT, STORY_LASTING = "5m", "10s", "2m"
HISTORY_OVER = "30d"  # of `simulate` where no requests are played; with requests it is STORY_OVER
STORY_REQUESTS_MAX = 300_000  # some seconds of computing; a story with more is told without requests

Model = Annotated[str, typer.Argument(help="A model file, or the name of a shipped model (see `hasim models`).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Seed = Annotated[int | None, typer.Option(help="Seed of chance; without one it is drawn and shown.", min=0)]
Runs = Annotated[int, typer.Option(help="Number of histories.", min=1)]
Level = Annotated[float, typer.Option(help="Level of the intervals.")]
Start = Annotated[Literal["new", "steady"], typer.Option(help="Begin with all new, or somewhere in the long run.")]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; wrong input ends in one clear message and exit code 2, never in a traceback."""
    code: int | str | None = 0
    try:
        try:
            app(args=None if arguments is None else list(arguments), prog_name="hasim")
        except SystemExit as end:
            code = end.code
        except (ModelError, CannotModel) as error:
            print(error, file=sys.stderr)
            code = WRONG_INPUT
        for stream in (sys.stdout, sys.__stdout__):
            if stream is not None:
                stream.flush()
    except OSError as error:
        # The output cannot be written: a full disk, or a pipe that nobody reads any more, which is no error.
        if not isinstance(error, BrokenPipeError):
            print(f"cannot write the output: {error.strerror}", file=sys.stderr)
        # What is still in the buffer must not be tried again at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        code = 1
    sys.exit(code)


@app.command()
def run(
    model: Model,
    over: Annotated[str, typer.Option(help="Length of each history of `estimate`.")] = "1y",
    runs: Runs = 10_000,
    years: Annotated[int, typer.Option(help="Length of the one history of `simulate`, in years.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Seed of chance.", min=0)] = 1,
    as_json: AsJson = False,
) -> None:
    """Ask every engine, compare their answers, and play one crash: the whole picture on a page."""
    cluster = _load(model)
    page = _Page(cluster, seed)
    with _interruptible() as stopped:
        page.ask("solve", lambda _: _verbs().solve(cluster))
        if not stopped():
            page.ask(
                "estimate",
                lambda progress: _verbs().estimate(cluster, over=over, runs=runs, seed=seed, progress=progress),
            )
        if not stopped():
            page.ask("simulate", lambda progress: _steady_history(cluster, years, seed, progress))
        if not stopped():
            page.play()
        page.show(as_json)
        _finish(stopped())


@app.command()
def solve(
    model: Model,
    over: Annotated[str | None, typer.Option(help="Also the figures of such a time from all new.")] = None,
    as_json: AsJson = False,
) -> None:
    """Exact figures in closed form."""
    cluster = _load(model)
    _show(_verbs().solve(cluster, over=over), as_json)


@app.command()
def estimate(
    model: Model,
    over: Annotated[str, typer.Option(help="Length of each history.")] = "1y",
    runs: Runs = 10_000,
    seed: Seed = None,
    start: Start = "steady",
    level: Level = 0.95,
    tasks: Annotated[int, typer.Option(help="Tasks that are followed, of each queue.", min=1)] = 100_000,
    as_json: AsJson = False,
) -> None:
    """Many histories at once: the distribution of downtime, with intervals."""
    cluster = _load(model)
    with _interruptible() as stopped, _progress("estimate") as progress:
        sample = _verbs().estimate(cluster, over, runs, seed, start, level, progress=progress, tasks=tasks)
    _show(sample, as_json)
    _finish(stopped())


@app.command()
def simulate(
    model: Model,
    over: Annotated[
        str | None,
        typer.Option(help="Length of the history.", show_default=f"{HISTORY_OVER}; with requests {STORY_OVER}"),
    ] = None,
    seed: Seed = None,
    start: Start = "new",
    crash: Annotated[str | None, typer.Option(help="Take this host, domain, member or part down.")] = None,
    at: Annotated[str, typer.Option(help="When it goes down.")] = STORY_AT,
    lasting: Annotated[str, typer.Option(help="How long it stays down.")] = STORY_LASTING,
    requests: Annotated[
        bool, typer.Option("--requests/--no-requests", help="Play the loads of the model, request by request.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """One history, event by event, with a crash if you like."""
    cluster = _load(model)
    wanted = cluster if crash is None else cluster.during(_verbs().Crash(crash, at=at, lasting=lasting))
    eventful = bool(cluster.loads) or cluster.kubernetes is not None
    over = over or (STORY_OVER if requests and eventful else HISTORY_OVER)
    with _interruptible() as stopped, _progress("simulate") as progress:
        try:
            history = _verbs().simulate(wanted, over=over, seed=seed, start=start, requests=requests, progress=progress)
        except CannotModel as error:
            if not error.what.endswith(" requests"):
                raise
            instead = "take a shorter `--over`, or leave the requests out with `--no-requests`"
            raise CannotModel(error.what, error.why, instead, error.engine) from None
    _show(history, as_json)
    if not as_json:
        from hasim.views import page

        console = _console()
        console.print(page.story(history))
        console.print(page.story_facts(history))
        _print_tables(console, history, {})
    _finish(stopped())


@app.command()
def check(models: Annotated[list[str], typer.Argument(help="Model files or names of shipped models.")]) -> None:
    """Say of each model that it is ok, or everything that is wrong with it, with lines."""
    wrong = False
    for model in models:
        try:
            cluster = _load(model)
        except ModelError as error:
            wrong = True
            print(error, file=sys.stderr)
        else:
            print(f"{model}: ok ({cluster.name})")
            for note in cluster.assumptions():
                print(f"{model}: note: {note}", file=sys.stderr)
    if wrong:
        raise typer.Exit(WRONG_INPUT)


@app.command()
def show(model: Model) -> None:
    """Draw where everything stands, and list every parameter with its source."""
    from hasim.model.load import model_file
    from hasim.model.yaml_reader import read_yaml_file
    from hasim.views import outline

    cluster = _load(model)
    path = model_file(model)
    console = _console()
    if cluster.about:
        console.print(cluster.about, style="dim", markup=False)
    console.print(outline.placement_tree(cluster))
    text = path.read_text(encoding="utf-8-sig")
    for table in (
        outline.parts_table(cluster),
        outline.services_table(cluster),
        outline.parameters_table(cluster, read_yaml_file(path), text),
    ):
        console.print()
        console.print(table)
    for note in cluster.assumptions():
        console.print(f"note: {note}", style="yellow", markup=False)


@app.command()
def models() -> None:
    """List the shipped models."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for name in _verbs().models():
        table.add_row(f"[bold]{name}[/]", _load(name).about)
    _console().print(table)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a model file, for editors."""
    from hasim.model.schema import model_schema

    _print_json(model_schema())


@app.command()
def validate(
    what: Annotated[
        Literal["raft", "balancers", "leases", "queues"],
        typer.Argument(help="What to hold against real systems and the literature."),
    ],
    quick: Annotated[bool, typer.Option("--quick", help="An eighth of the trials, in about a minute.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of chance.", min=0)] = 1,
    out: Annotated[str | None, typer.Option(help="Write the page and its pictures into this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hold the models against what was measured on real systems and what others published."""
    from hasim.validation import raft_report
    from hasim.validation.balancers import page as balancers_page
    from hasim.validation.balancers import report as balancers_report
    from hasim.validation.leases import page as leases_page
    from hasim.validation.leases import report as leases_report
    from hasim.validation.queues import page as queues_page
    from hasim.validation.queues import report as queues_report

    folder = None if out is None else raft_report.folder_of(out)
    known: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
        "raft": (raft_report.validate_raft, raft_report.table),
        "balancers": (balancers_report.validate_balancers, balancers_page.table),
        "leases": (leases_report.validate_leases, leases_page.table),
        "queues": (queues_report.validate_queues, queues_page.table),
    }
    play, table = known[what]
    with _progress(f"validate {what}") as progress:
        report = play(quick, seed, progress)
        shown = table(report)
    written = [] if folder is None else report.write(folder)
    if as_json:
        _print_json(report.to_json())
    else:
        _console().print(shown)
        for path in written:
            print(f"written: {path}")


def _steady_history(cluster: Cluster, years: int, seed: int, progress: Any) -> Any:
    """A history of years by the laws of failovers; what only protocols can play, the crash below it shows."""
    from hasim.model.outlook import refuse_what_is_played

    refuse_what_is_played(cluster, "simulate", "see the crash, which plays it")
    return _verbs().simulate(cluster, over=f"{years}y", seed=seed, start="steady", protocols=False, progress=progress)


class _Page:
    """Everything that `hasim run` found out, engine by engine, until it is shown."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.seed = seed
        self.results: dict[str, Solution | Sample | Run] = {}
        self.refusals: dict[str, str] = {}
        self.story: Run | None = None
        self.target = ""
        self.left_out = ""  # what the story does not tell, and why

    def ask(self, engine: str, verb: Callable[[Any], Any]) -> None:
        """Keep the answer of one engine, or why it gave none."""
        try:
            with _progress(engine) as progress:
                self.results[engine] = verb(progress)
        except CannotModel as error:
            self.refusals[engine] = str(error)
        except KeyboardInterrupt:
            self.refusals[engine] = "interrupted"

    def play(self) -> None:
        """Crash the guiltiest host or domain, and see what happens."""
        from hasim.engines.des.requests.ledger import expected_requests
        from hasim.units import seconds

        self.target = self._guiltiest()
        crash = _verbs().Crash(self.target, at=STORY_AT, lasting=STORY_LASTING)
        parts, loads = self.cluster.parts, self.cluster.loads.values()
        expected = sum(expected_requests(load, seconds(STORY_OVER), parts) for load in loads)
        played = expected <= STORY_REQUESTS_MAX
        if not played:
            self.left_out = f"the crash was played without its {expected:,.0f} requests; `hasim simulate` plays them"
        self.story = _verbs().simulate(self.cluster.during(crash), over=STORY_OVER, seed=self.seed, requests=played)

    def _guiltiest(self) -> str:
        """The host or domain most to blame for the first service; else the first host; else the first member."""
        places = self.cluster.topology.paths()
        for result in self.results.values():
            blame = next(iter(result.services.values())).blame
            for each in blame:
                name = each.unit.partition(" (")[0]
                if each.share > 0 and name in places:
                    return name
        hosts = self.cluster.topology.all_hosts()
        return hosts[0] if hosts else next(iter(self.cluster.members().values()))[0]

    def to_json(self) -> dict[str, Any]:
        from hasim.views.agreement import compare_engines

        engines: dict[str, Any] = {name: result.to_json() for name, result in self.results.items()}
        engines |= {name: {"engine": name, "cannot": why} for name, why in self.refusals.items()}
        story = None
        if self.story is not None:
            down = {name: self.story.intervals[name].tolist() for name in self.story.services}
            story = {**self.story.to_json(), "crash": self.target, "at": STORY_AT, "lasting": STORY_LASTING}
            story["down"] = down
        return {
            "engine": "run",
            "cluster": self.cluster.name,
            "seed": self.seed,
            "engines": engines,
            "agreement": [each.to_json() for each in compare_engines(list(self.results.values()))],
            "story": story,
            "warnings": self._warnings(),
        }

    def _warnings(self) -> list[str]:
        said = [f"{name}: {warning}" for name, result in self.results.items() for warning in result.warnings]
        return list(dict.fromkeys([*said, self.left_out] if self.left_out else said))

    def show(self, as_json: bool) -> None:
        if as_json:
            _print_json(self.to_json())
            return
        from hasim.views import page
        from hasim.views.agreement import compare_engines

        console = _console()
        _heading(console, self.cluster.name, self.cluster.about, first=True)
        main_result = next(iter(self.results.values()), None)
        if main_result is not None:
            console.print(page.figures_table(main_result, self.results.get("estimate")))
            for name, figures in main_result.services.items():
                _heading(console, f"who takes {name} down", main_result.engine)
                console.print(page.blame_bars(figures))
        comparisons = compare_engines(list(self.results.values()))
        if comparisons:
            _heading(console, "do the engines agree?", self._how_made())
            console.print(page.agreement_table(comparisons))
        if self.story is not None:
            words = f"crash at {STORY_AT} for {STORY_LASTING}, seed {self.seed}"
            _heading(console, f"what if {self.target} crashes?", words)
            console.print(page.story(self.story))
            console.print(page.story_facts(self.story))
        played = {} if self.story is None else {"in the crash": self.story}
        _print_tables(console, self.story, {**self.results, **played})
        for why in self.refusals.values():
            console.print(f"\n{why}", style="yellow", markup=False, highlight=False)
        _print_warnings(self._warnings())

    def _how_made(self) -> str:
        from hasim.results.tables import how_made

        made = [
            f"{name} {how_made(result.seed, result.horizon_s, getattr(result, 'runs', None))}"
            for name, result in self.results.items()
            if name != "solve"
        ]
        return "; ".join(made)


def _verbs() -> Any:
    """The facade, whose names load what they need when asked for."""
    import hasim

    return hasim


def _load(model: str) -> Cluster:
    from hasim.model.load import load

    return load(model)


def _show(result: Solution | Sample | Run, as_json: bool) -> None:
    if as_json:
        _print_json(result.to_json())
        return
    from hasim.results.tables import how_made
    from hasim.views import page

    console = _console()
    made = how_made(result.seed, result.horizon_s, getattr(result, "runs", None))
    _heading(console, result.cluster, ", ".join(word for word in (result.engine, made) if word), first=True)
    console.print(page.figures_table(result))
    for name, figures in result.services.items():
        if figures.blame:
            _heading(console, f"who takes {name} down", "")
            console.print(page.blame_bars(figures))
    _print_tables(console, None, {result.engine: result})
    _print_warnings(result.warnings)


def _print_tables(console: Console, run: Run | None, results: Mapping[str, Solution | Sample | Run]) -> None:
    """What became of the requests and upgrades of a run, and of tasks in several results, where there are any."""
    from hasim.views import page

    for head, note, table in page.tables(run, results):
        _heading(console, head, note)
        console.print(table)


def _heading(console: Console, text: str, note: str, first: bool = False) -> None:
    from rich.text import Text

    if not first:
        console.print()
    console.print(Text.assemble((text, "bold"), (f"  {note}" if note else "", "dim")))


def _console() -> Console:
    from rich.console import Console

    # Into a file or a pipe tables keep their width: wrapping is for people.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def _print_json(data: Any) -> None:
    import json

    print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def _print_warnings(warnings: Sequence[str]) -> None:
    sys.stdout.flush()
    for warning in dict.fromkeys(warnings):
        print(f"note: {warning}", file=sys.stderr)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float, float], None] | None]:
    from hasim.views.progress import progress_bar

    with progress_bar(what) as report:
        yield report


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Remember a Ctrl-C that an engine answers by handing back what it has; gives a function that tells."""
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _finish(interrupted: bool) -> None:
    if interrupted:
        raise typer.Exit(INTERRUPTED)


if __name__ == "__main__":
    main()
