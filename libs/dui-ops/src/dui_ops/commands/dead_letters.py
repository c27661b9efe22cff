"""`dui dead-letters list|replay`: what consumers gave up, with the reason; sends it again when the cause is gone."""

from __future__ import annotations

import argparse
import json
import sys

from dui_kit.worker.dead_letters import DeadLetter, NotAnEventError, letters, replay
from nats.js import JetStreamContext

from dui_ops.jetstream import ask
from dui_ops.state import StackError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("dead-letters", help="list or replay what consumers gave up", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list the dead letters, oldest first")
    listing.add_argument("--consumer", help="only those of this consumer, `records__access_identity`")
    listing.add_argument("--json", action="store_true", help="print them as JSON")
    listing.set_defaults(run=run_list)
    again = actions.add_parser("replay", help="send dead letters again, to the consumer that gave them up")
    again.add_argument("number", nargs="*", type=int, help="numbers, as `list` prints them")
    again.add_argument("--all", action="store_true", help="all of them")
    again.add_argument("--consumer", help="all of this consumer's")
    again.set_defaults(run=run_replay)


def run_list(arguments: argparse.Namespace) -> int:
    found = [each for each in ask(_all) if arguments.consumer in {None, each.consumer}]
    if arguments.json:
        sys.stdout.write(json.dumps([_as_dict(each) for each in found], indent=2) + "\n")
        return 0
    for each in found:
        sys.stdout.write(
            f"{each.number:>8}  {each.at[:19]}  {each.consumer}  {each.reason}  {each.event_type}  {each.event_id}\n"
        )
    sys.stdout.write(f"{len(found)} dead letters\n")
    return 0


def run_replay(arguments: argparse.Namespace) -> int:
    if not (arguments.number or arguments.all or arguments.consumer):
        raise StackError("name the dead letters to replay by their numbers, or --consumer NAME, or --all")
    wanted = set(arguments.number)

    async def send(js: JetStreamContext) -> list[int]:
        sent = []
        for each in await _all(js):
            if each.number in wanted or arguments.all or (arguments.consumer and each.consumer == arguments.consumer):
                await replay(js, each)
                sent.append(each.number)
        return sent

    try:
        sent = ask(send)
    except NotAnEventError as error:
        raise StackError(
            f"letter {error} names a subject that is no event's: no consumer wrote it, delete it"
        ) from None
    sys.stdout.write(f"{len(sent)} sent again\n")
    if missing := wanted - set(sent):
        raise StackError(f"no dead letter has the number {', '.join(map(str, sorted(missing)))}")
    return 0


async def _all(js: JetStreamContext) -> list[DeadLetter]:
    return [each async for each in letters(js)]


def _as_dict(letter: DeadLetter) -> dict[str, object]:
    return {
        "number": letter.number,
        "at": letter.at,
        "consumer": letter.consumer,
        "reason": letter.reason,
        "deliveries": letter.deliveries,
        "subject": letter.subject,
        "event_id": letter.event_id,
        "event_type": letter.event_type,
        "tenant_id": letter.tenant_id,
    }
