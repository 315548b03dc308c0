"""The command line: the studio's verbs, with arguments read off the requests' fields.

Exit status 0; 2 with one sentence on stderr; 130 when interrupted. Of several photos each is worked on whatever becomes
of the others; each that could not be done has its sentence on stderr, and the status is 2.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from os.path import exists, isfile  # unlike Path's, these raise nothing for a name that no file can have
from pathlib import Path
from typing import Any, NoReturn

from engine import Studio, image
from engine.cli import output
from engine.contract.errors import EngineFailure, RequestError
from engine.contract.events import Progress
from engine.contract.fields import Setting
from engine.contract.recipe import REQUESTS, Requests, from_recipe


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.CRITICAL + 1, format="%(levelname)s %(message)s"
    )
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")  # Settings has a limit of its own
    try:
        options.command(options)
        sys.stdout.flush()
    except (RequestError, EngineFailure) as error:
        print(_sentence(error, options), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python still wants to write at its end
    return 0


def _sentence(error: Exception, options: argparse.Namespace) -> str:
    if isinstance(error, RequestError) or options.verbose:
        return str(error)
    return "Something went wrong inside Vitrine; with --verbose before the command it is shown in full."


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence instead of the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[0].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m engine",
        description="Vitrine: repaint, generate and enhance product photos.",
        allow_abbrev=False,
    )
    parser.add_argument("--verbose", action="store_true", help="print the log to stderr")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, about: str, command: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        sub.set_defaults(command=command)
        return sub

    for verb, kind in REQUESTS.items():
        about = (kind.__doc__ or "").splitlines()[0]
        sub = add(verb, about, _request)
        sub.set_defaults(verb=verb)
        for key, setting in kind.settings().items():
            _add_argument(sub, key, setting, kind.defaults().get(key))
        _add_output(sub)

    looking = add(
        "look", "Say what is found on a photo, and which steps of enhance it needs, without running them.", _look
    )
    looking.add_argument("photo", metavar="PHOTO")
    looking.add_argument("--json", action="store_true", help="as JSON")

    models = add(
        "models", "List every network: its task, source, size, licence, where it is now, and its numbers.", _models
    )
    models.add_argument("--json", action="store_true", help="as JSON")

    presets = add(
        "presets",
        "List the styles that come with Vitrine: their names, artworks, artists, years and licences.",
        _presets,
    )
    presets.add_argument("--json", action="store_true", help="as JSON")

    recipe = add("recipe", "Print the recipe inside a picture that Vitrine made.", _recipe)
    recipe.add_argument("file", metavar="FILE")

    again = add("run", "Repeat a recipe, on the same photo or on another.", _run_recipe)
    again.add_argument("recipe", metavar="RECIPE.json")
    again.add_argument(
        "photo",
        metavar="PHOTO",
        nargs="*",
        help="the photo, for recipes that need one; several, or a folder of them, into a folder",
    )
    for key, setting in _beside_recipes().items():
        again.add_argument(
            _flag(key),
            dest=key,
            metavar="A,B" if setting.many else "FILE",
            type=_names if setting.many else str,
            help=f"for a recipe that had one or more: {setting.about}" if setting.many else setting.about,
        )
    _add_output(again)
    return parser


def _beside_recipes() -> dict[str, Setting]:
    """What a recipe does not carry, or not where it was a file: it is given beside the recipe."""
    return {
        key: setting
        for kind in REQUESTS.values()
        for key, setting in kind.settings().items()
        if setting.kind in ("file", "style") and key != "photo"
    }


def _add_argument(parser: argparse.ArgumentParser, key: str, setting: Setting, default: Any) -> None:
    """An argument for a setting. Types are converted here; bounds and choices are the request's own business."""
    about = setting.about
    if setting.required:
        parser.add_argument(
            key, metavar=key.upper(), nargs="+", help=f"{about}; several, or a folder of them, into a folder"
        )
        return
    if setting.kind == "number" and not setting.many:
        about += f" ({setting.low} to {setting.high})"
    elif setting.kind == "choice":
        about += f" ({', '.join(map(str, setting.options))})"
    if setting.known:
        about += f": {', '.join(setting.known())}"
    if default not in (None, (), ""):
        about += f"; {','.join(default) if setting.many else default} unless given"
    parser.add_argument(
        _flag(key),
        dest=key,
        metavar="A,B" if setting.many else key.removesuffix("_px").upper(),
        default=default,
        type=_reader(setting, default),
        help=about.replace("%", "%%"),
    )


def _reader(setting: Setting, default: Any) -> Any:
    """What turns the text of an argument into the setting's type."""
    if setting.many:
        return _numbers if setting.kind == "number" else _names
    return type(default) if isinstance(default, int | float) else str


def _flag(name: str) -> str:
    return "--" + name.removesuffix("_px").replace("_", "-")


def _lists() -> set[str]:
    """The options that take a list."""
    return {_flag(key) for kind in REQUESTS.values() for key, setting in kind.settings().items() if setting.many}


def _joined(arguments: Sequence[str]) -> list[str]:
    """The arguments, with a list that begins with a minus joined to its option: argparse would take it for an option
    itself.
    """
    joined: list[str] = []
    lists = _lists()
    for argument in arguments:
        if joined and joined[-1] in lists and re.match(r"-[\d.]", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in _names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers separated by commas") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        required=True,
        metavar="OUT",
        help=(
            "file to write: .png, .jpg or .webp; or a folder. Several pictures make a grid in a file; a walk into a"
            " .gif or .webp moves"
        ),
    )
    parser.add_argument(
        "--format",
        default="",
        help="of the files in a folder (png, jpg, webp); png unless given, or what the marketplace takes",
    )
    parser.add_argument("--quality", type=int, default=90, help="of JPEG and WebP (1 to 100); 90 unless given")
    parser.add_argument("--keep-exif", action="store_true", help="keep the photo's EXIF data, without its position")
    parser.add_argument("--json", action="store_true", help="print what happened as JSON")


def _request(options: argparse.Namespace) -> None:
    kind = REQUESTS[options.verb]
    settings = {key: getattr(options, key) for key in kind.settings()}
    if not isinstance(options.photo, list):  # one of generate's options
        _carry_out([kind.of(settings)], options)
        return
    _carry_out([kind.of(settings | {"photo": photo}) for photo in output.photos(options.photo)], options)


def _run_recipe(options: argparse.Namespace) -> None:
    try:
        if exists(options.recipe) and not isfile(options.recipe):  # a pipe would wait for its other end
            raise RequestError(f"{options.recipe} is not a file.")
        recipe = json.loads(Path(options.recipe).read_text(encoding="utf-8"))
    except RequestError:  # a ValueError as well
        raise
    except OSError as error:
        raise RequestError(f"{options.recipe} cannot be opened: {(error.strerror or str(error)).lower()}.") from error
    except (ValueError, RecursionError) as error:  # RecursionError: brackets in brackets without end
        raise RequestError(f"{options.recipe} is not a JSON file.") from error
    given = {key: value for key in _beside_recipes() if (value := getattr(options, key)) is not None}
    photos = output.photos(options.photo)
    _carry_out(
        [from_recipe(recipe, **given, photo=photo) for photo in photos] if photos else [from_recipe(recipe, **given)],
        options,
    )


def _look(options: argparse.Namespace) -> None:
    with closing(Studio().look(options.photo)) as events:
        proposal = _last(events).value
    if options.json:
        print(json.dumps(proposal.report(), indent=2, ensure_ascii=False))
        return
    width = max(len(finding.what) for finding in proposal.findings)
    for finding in proposal.findings:
        print(f"{finding.what.ljust(width)}  {finding.text}")
    print(f"steps: {', '.join(step.name for step in proposal.steps) or 'none'}")
    print(*proposal.reasons, sep="\n")


def _models(options: argparse.Namespace) -> None:
    models = Studio().models()
    if options.json:
        print(json.dumps(models, indent=2, default=dict))
        return
    rows = [("name", "task", "source", "size", "licence", "where", "measured")]
    for model in models:
        size = f"{model['size'] / 1e6:.1f} MB" if model["size"] else "-"
        rows.append(
            (
                model["name"],
                model["task"],
                model["source"],
                size,
                model["licence"],
                model["where"],
                _shown(model["measured"]),
            )
        )
    _print_table(rows)


def _presets(options: argparse.Namespace) -> None:
    presets = Studio().presets()
    if options.json:
        print(json.dumps([asdict(preset) for preset in presets], indent=2, ensure_ascii=False))
        return
    _print_table(
        [
            ("name", "title", "artist", "year", "licence"),
            *((p.name, p.title, p.artist, str(p.year), p.licence) for p in presets),
        ]
    )


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _shown(measured: Any) -> str:
    return (
        measured
        if isinstance(measured, str)
        else ", ".join(f"{name} {value:g}" for name, value in measured.items()) or "-"
    )


def _recipe(options: argparse.Namespace) -> None:
    print(json.dumps(image.read_recipe(options.file), indent=2, ensure_ascii=False))


def _carry_out(requests: Sequence[Requests], options: argparse.Namespace) -> None:
    """Run the requests, one for each photo, write their pictures, say what happened."""
    several = len(requests) > 1
    out = output.Output(
        Path(options.out),
        output.is_folder(options.out, several=several or requests[0].many),
        options.format,
        options.quality,
        options.keep_exif,
    )
    if several and not out.in_folder:
        raise RequestError(f"Several photos go into a folder, not into {out.out.name}; with a / at its end it is one.")
    for request in requests:
        out.check(request)
    studio, failed = Studio(), 0
    for number, request in enumerate(requests, 1):
        try:
            _carry_out_one(studio, request, out, options, place=f"{number} of {len(requests)}  " if several else "")
        except (RequestError, EngineFailure) as error:
            if not several:
                raise
            failed += 1
            print(f"{request.photo}: {_sentence(error, options)}", file=sys.stderr)
    if failed:
        raise RequestError(f"{failed} of {len(requests)} photos could not be done.")


def _carry_out_one(
    studio: Studio, request: Requests, out: output.Output, options: argparse.Namespace, *, place: str
) -> None:
    with closing(studio.run(request)) as events:
        result = _last(events, place)
    files = out.save(request, result)
    if options.json:  # of several photos one on each line
        print(
            json.dumps(
                result.report() | {"files": [str(file) for file in files]},
                indent=None if place else 2,
                ensure_ascii=False,
            ),
            flush=True,
        )
    else:
        print(*files, result.notes.sentence(result.seconds), sep="\n", flush=True)


def _last(events: Iterator[Any], place: str = "") -> Any:
    """The last event, a Result or an Answer; the others become a line on stderr that is written over, where somebody
    can watch it. place: what it begins with.
    """
    watched = sys.stderr.isatty()
    try:
        for event in events:
            if not isinstance(event, Progress):
                return event
            if watched:
                print(f"\r\x1b[K{place}{_line(event)}", end="", file=sys.stderr, flush=True)
    finally:
        if watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    raise AssertionError("a verb's last event is a Result, a question's an Answer")


def _line(progress: Progress) -> str:
    share = f"{100 * progress.done // progress.total:3d} %  " if progress.total else ""
    return f"{share}{progress.message}"
