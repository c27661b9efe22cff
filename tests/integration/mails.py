"""A mail server that keeps what Keycloak sends, and what people do with the links in it."""

from __future__ import annotations

import html
import queue
import re
import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import httpx
from aiosmtpd.controller import Controller
from dui_keycloak.connection import Administration
from dui_local.realm import settings
from dui_ops.login import Enrolment
from dui_ops.state import State

_LINK = re.compile(r'href="(?P<link>[^"]*/action-token\?[^"]+)"')
_FORM = re.compile(r'<form[^>]*\baction="(?P<action>[^"]+)"[^>]*>(?P<body>.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r"<(script|style|head)\b.*?</\1>|<[^>]+>", re.DOTALL | re.IGNORECASE)
#: Keycloak sends before it answers.
_SECONDS = 10


@dataclass(slots=True)
class Mailbox:
    """Every mail that was sent, by address, the oldest first."""

    mails: defaultdict[str, queue.Queue[EmailMessage]] = field(default_factory=lambda: defaultdict(queue.Queue))
    #: It takes no mail, and says for whom.
    refuses: bool = False

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        """Takes a recipient, or refuses them (aiosmtpd calls it)."""
        if self.refuses:
            return f"550 5.1.1 <{address}>: Recipient address rejected"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Takes a mail (aiosmtpd calls it)."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails[str(mail["to"])].put(mail)
        return "250 OK"

    def next(self, address: str) -> Mail:
        """The next mail to an address; queue.Empty when none was sent."""
        mail = self.mails[address].get(timeout=_SECONDS)
        page = mail.get_body(("html",))
        assert page is not None
        content = page.get_content()
        link = _LINK.search(content)
        assert link, "a mail without a link"
        return Mail(str(mail["subject"]), text_of(content), html.unescape(link["link"]))

    def read(self, address: str) -> bool:
        """Whether every mail to an address was taken out."""
        return self.mails[address].empty()


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as a person reads it."""

    subject: str
    text: str
    link: str


@contextmanager
def mail_server(state: State) -> Iterator[Mailbox]:
    """A mail server on this machine that the realm of a stack sends by, for a while."""
    mailbox = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    realm = Administration(settings(state))
    realm.put("", {"smtpServer": {"host": "127.0.0.1", "port": str(port), "from": "dui@example.org"}})
    try:
        yield mailbox
    finally:
        realm.put("", {"smtpServer": {}})
        controller.stop()


def text_of(page: str) -> str:
    """What a person reads of a page."""
    return " ".join(html.unescape(_HIDDEN.sub(" ", page)).split())


@dataclass(slots=True)
class Followed:
    """Where a link led: the last page, or the address that it sends on to."""

    status: int
    text: str
    sent_to: str = ""


def follow(link: str, enrolment: Enrolment | None = None) -> Followed:
    """Follows the link of a mail to its end in a browser of its own, confirming, and filling in what an invitation asks for."""
    with httpx.Client(timeout=30, trust_env=False, headers={"accept-language": "fr"}) as http:

        def as_browsers_do(_: httpx.Response) -> None:
            for cookie in http.cookies.jar:  # of this machine, over plain HTTP
                cookie.secure = False

        http.event_hooks = {"response": [as_browsers_do]}
        page = http.get(link)
        for _ in range(12):
            if page.is_redirect:
                target = page.headers["location"]
                if "/login-actions/" not in target:
                    return Followed(page.status_code, "", target)
                page = http.get(target)
            elif form := _FORM.search(page.text):
                filled = enrolment.answer(form["body"]) if enrolment else None
                assert filled is not None, f"a form that nobody expects: {text_of(page.text)}"
                page = http.post(html.unescape(form["action"]), data=filled)
            elif page.status_code == 200 and (confirm := _LINK.search(page.text)):
                page = http.get(html.unescape(confirm["link"]))
            else:
                return Followed(page.status_code, text_of(page.text))
    raise AssertionError("a link that does not end")
