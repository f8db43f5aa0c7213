"""`digits score`: many images in files -> a table of scores."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.errors import fail
from cli.server.options import RejectAbove
from scoring.job import CHUNK_ROWS, IMAGE_CHUNK_ROWS, PICTURE_CHUNK_ROWS
from scoring.options import MAX_CALLS, JobOptions, OnError
from scoring.readers.open import RULES
from scoring.scorers.in_process import ProviderName
from scoring.writers.write import Format

if TYPE_CHECKING:
    from scoring import Summary

# Flags, and the options that have an effect only with them.
_ONLY_WITH = {"--server": ("calls", "patience", "shared_memory"), "--engine ray": ("address", "actors", "gpus")}

# Settings of the environment that apply to a job in this process.
_SETTINGS = ("models", "default_model", "provider", "require_provider")


def score(  # noqa: D103 - set below
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT…", help="Files, folders, globs or archives; - reads JSON lines from stdin."),
    ],
    out: Annotated[Path, typer.Option(metavar="OUTPUT", help="The table to write.")],
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="Format of the table.", show_default="by the suffix of OUTPUT"),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Score on this server.", show_default="in this process"),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Score in this process, as without --server.")] = False,
    model: Annotated[
        str, typer.Option(metavar="NAME[:VERSION]", help="Which model.", show_default="the default, newest version")
    ] = "",
    models: Annotated[
        Path | None,
        typer.Option(help="Models folder, without --server.", show_default="that of digits serve, or DIGITS_MODELS"),
    ] = None,
    provider: Annotated[
        ProviderName | None,
        typer.Option(help="Execution provider, without --server.", show_default="auto, or DIGITS_PROVIDER"),
    ] = None,
    variant: Annotated[
        Literal["int8", "fp16"] | None,
        typer.Option(help="Faster variant of the version, without --server.", show_default="the version itself"),
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column, array or field with the pixels, see below.", show_default=False),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Column, array, field or file with the labels; adds accuracy and confusion matrix.",
            show_default=False,
        ),
    ] = None,
    top_k: Annotated[
        int, typer.Option(metavar="K", help="Add columns with the K best digits of each row.", min=0)
    ] = JobOptions.top_k,
    read: Annotated[bool, typer.Option("--read", help="Read pictures that have several digits.")] = False,
    reject_above: RejectAbove = None,
    chunk_rows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Rows that are read and stored together.",
            min=1,
            show_default=f"{CHUNK_ROWS}; {IMAGE_CHUNK_ROWS} for image files; {PICTURE_CHUNK_ROWS} with --read",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted job.")] = False,
    on_error: Annotated[
        OnError | None,
        typer.Option(
            help="Whether a bad row ends the job or has its error in the table.",
            show_default="record for image files, fail for everything else",
        ),
    ] = None,
    calls: Annotated[
        int, typer.Option(help="Calls in flight to the server, each on a connection of its own.", min=1, max=MAX_CALLS)
    ] = JobOptions.calls,
    patience: Annotated[
        float, typer.Option(help="How long the server may be unreachable, seconds.", min=0.001, max=1e6)
    ] = JobOptions.patience,
    shared_memory: Annotated[
        str,
        typer.Option(
            metavar="PREFIX",
            help="The --shared-memory prefix of the server; empty: send pixels by gRPC even on this host.",
        ),
    ] = JobOptions.shared_memory,
    engine: Annotated[
        Literal["here", "ray"], typer.Option(help="Score in this process, or on a Ray cluster.")
    ] = "here",
    address: Annotated[
        str | None,
        typer.Option(help="Address of the Ray cluster.", show_default="a new one on this machine"),
    ] = None,
    actors: Annotated[
        int, typer.Option(help="Ray actors; 0: one for each CPU, or as many as --gpus allows.", min=0)
    ] = 0,
    gpus: Annotated[float, typer.Option(help="Fraction of a GPU for each Ray actor.", min=0, max=1)] = 0.0,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a report with pictures there.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    from digits_client import DigitsError, Unavailable

    from scoring import InputError, JournalError, ScorerError
    from service.telemetry.logs import configure_logs

    _check_flags(context, server=server, engine=engine, report=report)
    configure_logs("error", "auto")
    values: dict[str, Any] = {
        "inputs": inputs,
        "output": out,
        "format": format_,
        "model": model,
        "server": server,
        "variant": variant,
        "pixels": pixels,
        "labels": labels,
        "top_k": top_k,
        "read": read,
        "reject_above": reject_above,
        "chunk_rows": chunk_rows,
        "resume": resume,
        "on_error": on_error,
        "calls": calls,
        "patience": patience,
        "shared_memory": shared_memory,
        "show": True,
    }
    if server is None:
        values |= _local_values(model, models=models, provider=provider)
    try:
        options = JobOptions.parse(**values)
    except ValueError as error:
        fail(str(error), code=2)
    try:
        if engine == "ray":
            from scoring.ray.job import score_on_ray

            summary = score_on_ray(options, address=address, actors=actors, gpus=gpus)
        else:
            from scoring.api import run_job

            summary = run_job(options)
        if report is not None:
            from scoring.reporting.report import write_report

            write_report(summary, report)
    except KeyboardInterrupt:
        resumable = engine == "here" and "-" not in inputs
        fail("stopped" + "; the same command with --resume goes on" * resumable, code=130)
    except Unavailable as error:
        fail(f"{error}; start one with `digits serve`, or leave --server out")
    except JournalError as error:
        fail(str(error))
    except (InputError, ScorerError, DigitsError) as error:
        fail(f"{error}{_finished_chunks(out)}")
    except OSError as error:
        fail(f"{error.filename or out}: {error.strerror or error}{_finished_chunks(out)}")
    except ValueError as error:  # an option that does not fit the model, or an address that is none
        fail(str(error), code=2)
    _print(summary, as_json)
    raise typer.Exit(3 if summary.failed else 0)


def _check_flags(context: typer.Context, *, server: str | None, engine: str, report: Path | None) -> None:
    """End the command for flags that exclude each other, or have no effect together."""

    def given(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    if server is not None:
        for name in ("local", "models", "provider", "variant"):
            if given(name):
                fail(f"--{name} cannot be combined with --server, which has its own models", code=2)
        if engine == "ray":
            fail("--engine ray cannot be combined with --server: its workers load the model", code=2)
    active = {"--server": server is not None, "--engine ray": engine == "ray"}
    for flag, names in _ONLY_WITH.items():
        for name in names:
            if not active[flag] and given(name):
                fail(f"--{name.replace('_', '-')} has an effect only with {flag}", code=2)
    if report is not None and given("read"):
        fail("--report draws scores, and cannot be combined with --read", code=2)
    if report is not None and not next(each for each in (report, *report.absolute().parents) if each.exists()).is_dir():
        fail(f"the report cannot be written: {report} is not a folder and cannot become one")


def _local_values(model: str, *, models: Path | None, provider: str | None) -> dict[str, Any]:
    """Options that DIGITS_ variables set for a job in this process, unless flags do."""
    from service.config import SettingsError, read_settings

    flags = {name: value for name, value in (("models", models), ("provider", provider)) if value is not None}
    try:
        settings = read_settings(flags, only=_SETTINGS)
    except SettingsError as error:
        fail(str(error), code=2)
    return {
        "model": model or settings.default_model,
        "models": settings.models,
        "provider": settings.provider,
        "require_provider": settings.require_provider,
    }


def _finished_chunks(out: Path) -> str:
    """How to resume, if the job finished some chunks."""
    from scoring.journal.journal import find_chunks, journal_folder

    count = len(find_chunks(journal_folder(out)))
    return f"; {count} finished chunks are kept, --resume goes on from there" if count else ""


def _print(summary: "Summary", as_json: bool) -> None:
    typer.echo(json.dumps(summary.as_json(), ensure_ascii=False) if as_json else "\n".join(summary.lines()))


score.__doc__ = f"""Score many images: files in, one table out, with one row for each image in input order.

The table has the columns id, digit, a score for each label (score_0 …), margin, top_1 … with --top-k, warnings, and
error. Warnings are those of `digits classify`: pixels that are blank, inverted or look scaled to 0..1, and for image
files also lines that were taken off, several marks, ink cut off by the border, and hardly any contrast. The image is
scored, and the summary counts the warnings.

With --reject-above there are the columns not_a_digit and rejected. With --read each image file is a picture of
several digits, side by side, in lines or in a grid, and the columns are id, text, score, digits (their number),
quarter_turns, rejected (their number, with --reject-above), warning_codes and error.

{RULES}

An interrupted job continues with --resume; its finished chunks stay beside OUTPUT until then.

Exit code: 0 all rows have scores; 1 the job failed; 2 wrong usage; 3 the job finished, and some rows have an
error instead of scores; 130 stopped by Ctrl-C.
"""
