"""``python -m examples.checkout``: the demo, and each of its parts by hand."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from examples.checkout import processes
from examples.checkout.app import open_app
from examples.checkout.demo import DemoFailed, play
from examples.checkout.orders import read_orders
from examples.checkout.proof import SABOTAGE, prove
from examples.checkout.report import is_under_way, print_findings, print_orders


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.command == "demo":
        return demo(options)
    if options.parent:
        processes.end_with(options.parent)
    match options.command:
        case "load":
            processes.load(options.db, options.orders, options.pause)
        case "worker":
            processes.work(options.db)
        case "approve":
            processes.approve(options.db)
        case _:
            return status(options.db)
    return 0


def demo(options: argparse.Namespace) -> int:
    """0: every claim was proved; 1: something was lost or doubled; 2: the demo could not be played."""
    orders = list(read_orders())[: options.orders]
    folder = Path(options.dir or tempfile.mkdtemp(prefix="checkout-"))
    db = folder / "shop.db"
    if db.exists():
        print(f"{db} exists already; give the demo another --dir", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end, too, has to clear the stage
    try:
        proved = play(db, orders, options.kills, options.sabotage)
    except DemoFailed as failure:
        print(f"the demo failed: {failure}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        if not options.dir:
            shutil.rmtree(folder)
        return 130
    print()
    print("Nothing was lost, nothing was doubled." if proved else "SOMETHING WAS LOST OR DOUBLED.")
    if options.dir or not proved:
        print(f"The files are in {folder}.")
    else:
        shutil.rmtree(folder)
    return 0 if proved else 1


def status(db: Path) -> int:
    """The orders as they are now, and the proof once all have ended."""
    if not db.exists():
        print(f"{db} does not exist: load orders first, or give --db", file=sys.stderr)
        return 2
    with open_app(db) as app:
        print_orders(app)
        print()
        if is_under_way(app):
            print("Some orders are still under way.")
            return 0
        findings = prove(app.files, app.connection.execute("SELECT order_id, cents FROM orders").fetchall())
        print_findings(findings)
    return 1 if any(finding.problems for finding in findings) else 0


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.checkout", description="An order shop on wfcore.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    one = commands.add_parser("demo", help="orders, a worker that is killed again and again, and the proof")
    one.add_argument("--dir", type=Path, help="keep the files in this directory")
    one.add_argument("--orders", type=_count, metavar="N", help="only the first N orders")
    one.add_argument("--kills", type=int, default=3, metavar="N", help="how often to kill the worker (default: 3)")
    one.add_argument("--sabotage", choices=sorted(SABOTAGE), help="damage the files first: the proof has to notice")

    helps = {
        "load": "place the orders",
        "worker": "run the checkouts, until it is told to stop",
        "approve": "answer the questions, until it is told to stop",
        "status": "show the orders",
    }
    for name, text in helps.items():
        one = commands.add_parser(name, help=text)
        one.add_argument("--db", type=Path, default=Path("shop.db"), help="the shop's file (default: shop.db)")
        one.add_argument("--parent", type=int, help=argparse.SUPPRESS)
        if name == "load":
            one.add_argument("--orders", type=_count, metavar="N", help="only the first N orders")
            one.add_argument("--pause", type=float, default=0.0, metavar="SECONDS", help="between two orders")
    return parser


if __name__ == "__main__":
    sys.exit(main())
