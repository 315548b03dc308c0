"""Vitrine's page: `make run`, `python app.py`, and the entry of its Hugging Face Space.

The page answers first; torch is imported and the built-in networks are warmed up behind it.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from engine.runtime.device import configure
from engine.runtime.folder import Ended, end_on, private_folder

if TYPE_CHECKING:
    import gradio as gr

    from engine import Studio

PYTHONS = ((3, 10), (3, 13))  # the oldest and the newest that torch and Gradio both have wheels for
ZEROGPU_SECONDS = 90  # the longest that one request may hold a ZeroGPU device

log = logging.getLogger("vitrine")


def main(arguments: list[str] | None = None) -> None:
    """Serve the page until it is stopped."""
    started = time.monotonic()
    options = parsed(arguments)
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        sys.exit(f"Vitrine needs Python 3.10 to 3.13; this is {sys.version.split()[0]}.")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")  # Settings has a limit of its own
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio asks its own page whether it is up
    configure()
    on_gpu = zerogpu()
    print("Opening the page ...", flush=True)

    from engine import Studio
    from engine.contract import RequestError

    try:
        studio = Studio()
    except RequestError as error:  # a setting that cannot be
        sys.exit(str(error))
    _check_address(options.host, options.port)
    if on_gpu:
        studio.warm_up()  # a ZeroGPU request runs in a fork of this process: what is loaded now, it has
    end_on(signal.SIGTERM, signal.signal)
    try:
        with private_folder():
            demo = served(studio, on_gpu(studio.run) if on_gpu else studio.run, options)
            seconds = time.monotonic() - started
            log.info("the page answers at http://%s:%s after %.1f s", options.host, demo.server_port, seconds)
            if not on_gpu:
                threading.Thread(target=warmed, args=(studio,), name="warm-up", daemon=True).start()
            demo.block_thread()
    except Ended as end:
        logging.shutdown()
        os._exit(int(str(end.code)))  # a thread that is inside torch would abort the interpreter on its way out


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; VITRINE_HOST and VITRINE_PORT, then a Space's own variables, give the defaults."""
    parser = argparse.ArgumentParser(prog="python app.py", description="Serve Vitrine's page.")
    host = os.environ.get("VITRINE_HOST") or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = os.environ.get("VITRINE_PORT") or os.environ.get("GRADIO_SERVER_PORT") or "7860"
    parser.add_argument("--host", default=host, help="address to serve on (default: %(default)s)")
    parser.add_argument("--port", default=port, type=_port, help="port to serve on (default: %(default)s)")
    parser.add_argument("--share", action="store_true", help="also open a public link")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def _check_address(host: str, port: int) -> None:
    """End in one sentence where no page can be served, before Gradio is imported."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # the server does so too: a page that has just ended is no reason to wait
            tried.bind(address)
    except OSError as error:
        _end_unserved(host, port, error.strerror or str(error))


def _end_unserved(host: str, port: int, reason: str) -> NoReturn:
    sys.exit(
        f"The page cannot be served on {host}:{port}: {reason[:1].lower()}{reason[1:].rstrip('.')}. VITRINE_HOST and"
        " VITRINE_PORT name another place."
    )


def served(studio: Studio, run: Callable[..., Any], options: argparse.Namespace) -> gr.Blocks:
    """The page, answering."""
    import gradio_ui

    demo = gradio_ui.build(studio, run)
    _around_proxies(options.host)
    try:
        demo.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            prevent_thread_lock=True,
            **gradio_ui.launch_options(_names(options)),
        )
    except OSError as error:
        _end_unserved(options.host, options.port, str(error).split(". ")[0])
    except ValueError:
        if not demo.is_running:
            raise
        # Gradio asks its own page for at most 3 s. The server runs by then, and a busy machine is no reason to end it.
        log.warning(
            "this machine is too busy to answer within 3 s; the page is served all the same, and will be slow at first"
        )
    return demo


def _names(options: argparse.Namespace) -> list[str]:
    """The names by which the page may be asked for: those of VITRINE_HOSTS, and on a loopback address, without a public
    link, those of this machine. None where any will do.
    """
    given = [name.strip() for name in os.environ.get("VITRINE_HOSTS", "").split(",") if name.strip()]
    loopback = options.host in ("localhost", "::1") or options.host.startswith("127.")
    if not given and (options.share or not loopback):
        return []
    return [*given, "localhost", "127.0.0.1", "[::1]", options.host]


def _around_proxies(host: str) -> None:
    """Let Gradio ask its own page directly: where HTTP_PROXY is set, it would ask the proxy for it,
    which cannot know.
    """
    names = [
        *filter(None, os.environ.get("no_proxy", os.environ.get("NO_PROXY", "")).split(",")),
        "127.0.0.1",
        "localhost",
        host,
    ]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys(names))


def warmed(studio: Studio) -> None:
    """Import torch and run each built-in network once, so that the first visitor does not wait for it."""
    importlib.import_module("pandas")  # which Gradio's queue would import while the first visitor waits
    try:
        studio.warm_up()
    except Exception:
        log.exception("warming up failed; the first request tries again")


def zerogpu() -> Callable[[Callable[..., Any]], Callable[..., Any]] | None:
    """What sends a request to a ZeroGPU device, on a Space that has one; None anywhere else.

    `spaces` must be imported before torch. Off Spaces it need not be installed.
    """
    try:
        import spaces
    except ImportError:
        return None
    if not os.environ.get("SPACES_ZERO_GPU"):
        return None

    def on_gpu(run: Callable[..., Any]) -> Callable[..., Any]:
        def run_on_gpu(request: Any) -> Any:
            yield from run(request)

        placed: Callable[..., Any] = spaces.GPU(duration=ZEROGPU_SECONDS)(run_on_gpu)
        return placed

    return on_gpu


if __name__ == "__main__":
    main()
