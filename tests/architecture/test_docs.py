"""What is written says what is: events, settings, tables, words, decisions; and nothing ties the repository to one machine."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import contract_files
import dui_gateway.settings
import dui_kit.settings
import pytest
from contract_files import ROOT, tracked
from dui.options.v1 import options_pb2
from dui_kit.db.tables import Base
from dui_kit.wire.contract import event_of
from dui_kit.worker import streams
from dui_local.services import DEFAULT_PORTS, SERVICES
from google.protobuf.descriptor import EnumValueDescriptor, MethodDescriptor
from pydantic_settings import BaseSettings

DOCS = ROOT / "docs"
ADRS = sorted((DOCS / "adr").glob("[0-9]*.md"))
METHODS = [method for service in contract_files.services() for method in service.methods]
EVENTS = {event.full_name: event for event in contract_files.events()}
VALUES = [value for enum in contract_files.enums() for value in enum.values if value.number != 0]

#: A first column that names something: `name`, or several of them.
_ROW = re.compile(r"^\| (`[^|]+`) \|", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


def _page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _named(text: str) -> set[str]:
    """What the first columns of the tables of a page name."""
    return {name for cell in _ROW.findall(text) for name in _CODE.findall(cell)}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


# --------------------------------------------------------------------------------------------------------------- events


def _described_events() -> dict[str, str]:
    """The section of each event, by full name."""
    parts = re.split(r"^### `([^`]+)`$", _page("events.md"), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (re.split(r"^##? ", part, flags=re.MULTILINE)[0] for part in parts[1::2]), strict=True))


def test_every_event_is_described_and_nothing_else() -> None:
    assert set(_described_events()) == set(EVENTS)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_event_is_described_with_its_subject_and_its_fields(name: str) -> None:
    section, event = _described_events()[name], EVENTS[name]
    shape = event_of(event)
    subject = re.search(r"^- Subject: `dui\.[a-z<>]+\.<tenant>\.([^`]+)`, ordered by `([^`]+)`$", section, re.MULTILINE)
    assert subject is not None
    assert subject[1] == f"{shape.aggregate}.v1.{shape.past_tense}"
    assert subject[2] == shape.id_field
    assert _ROW.findall(section) == [f"`{field.name}`" for field in event.fields]


def test_every_stream_is_described() -> None:
    configured = {name for service in SERVICES for name in streams.published_to(service)}
    table = _page("events.md").split("## Streams", maxsplit=1)[1].split("## ", maxsplit=1)[0]
    assert _named(table) == configured


# ------------------------------------------------------------------------------------------------------------- settings


def _modules(package: object) -> Iterator[object]:
    paths, name = package.__path__, package.__name__  # type: ignore[attr-defined]
    for module in pkgutil.walk_packages(paths, f"{name}."):
        if module.name.rsplit(".", 1)[-1] in {"settings", "tables"}:
            yield importlib.import_module(module.name)


def _modules_of_services() -> list[object]:
    return [module for name in SERVICES for module in _modules(importlib.import_module(f"dui_{name}"))]


def _setting_classes() -> set[type[BaseSettings]]:
    modules = [dui_kit.settings, dui_gateway.settings, *_modules_of_services()]
    return {
        found
        for module in modules
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, BaseSettings) and found is not BaseSettings
    }


def _settings_of_classes() -> set[str]:
    return {
        f"{found.model_config.get('env_prefix', '')}{field}".upper()
        for found in _setting_classes()
        for field in found.model_fields
    }


def _settings_in_code() -> set[str]:
    """Names that the code spells out: read from the environment, given to a program, or told in a message."""
    listed = {name for service in SERVICES for name in _stream_names(service)}
    # A text that ends in `_` or stands before `{` is a part of a name; families are documented as a whole.
    spelled = re.compile(r"\bDUI_[A-Z][A-Z0-9_]*[A-Z0-9](?![A-Z0-9_{<])")
    found: set[str] = set()
    for path in tracked(".py", ".sh"):
        if "/src/" in path.as_posix() or path.suffix == ".sh":
            found |= set(spelled.findall(path.read_text(encoding="utf-8")))
    return found - listed


def _stream_names(service: str) -> set[str]:
    return set(streams.published_to(service))


def _documented_settings() -> set[str]:
    return {name for name in _named(_page("settings.md")) if name.startswith("DUI_")}


def _families() -> list[re.Pattern[str]]:
    """`DUI_PORT_<NAME>` stands for every name of that form."""
    names = [name for name in _documented_settings() if "<" in name]
    return [re.compile(re.sub(r"<[A-Z]+>", "[A-Z][A-Z0-9_]*", name)) for name in names]


def test_every_setting_is_documented() -> None:
    missing = (_settings_of_classes() | _settings_in_code()) - _documented_settings()
    assert {name for name in missing if not any(family.fullmatch(name) for family in _families())} == set()


def test_every_documented_setting_exists() -> None:
    plain = {name for name in _documented_settings() if "<" not in name}
    assert plain - _settings_of_classes() - _settings_in_code() == set()
    code = "\n".join(path.read_text(encoding="utf-8") for path in tracked(".py") if "/src/" in path.as_posix())
    parts = {part for name in _documented_settings() - plain for part in re.sub(r"<[A-Z]+>", " ", name).split()}
    assert {part for part in parts if part not in code} == set()


#: A whole name; or the beginning of several (`DUI_RATE_LIMIT_*`, `DUI_MAX_`).
_NAMED = re.compile(r"\bDUI_[A-Z][A-Z0-9_]*[A-Z0-9](?![A-Z0-9_<*])")
_BEGUN = re.compile(r"\bDUI_[A-Z0-9_]*_(?![A-Z0-9<])")


@pytest.mark.parametrize("path", tracked(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_names_a_setting_that_does_not_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    known = _settings_of_classes() | _settings_in_code()
    streams_of_services = {name for service in SERVICES for name in _stream_names(service)}
    named = set(_NAMED.findall(text)) - known - streams_of_services
    assert {name for name in named if not any(family.fullmatch(name) for family in _families())} == set()
    begun = set(_BEGUN.findall(text)) - {"DUI_"}
    assert {beginning for beginning in begun if not any(name.startswith(beginning) for name in known)} == set()


def test_every_port_is_documented_with_its_default() -> None:
    told = re.search(r"Ports, all on 127\.0\.0\.1: (.*?)\.\n", _page("settings.md"), re.DOTALL)
    assert told is not None
    documented = {name.lower(): int(port) for name, port in re.findall(r"`([A-Z_]+)`\s+(\d+)", told[1])}
    assert documented == DEFAULT_PORTS


SETTING_CLASSES = {found.__name__: found for found in _setting_classes()}


@pytest.mark.parametrize("name", sorted(SETTING_CLASSES))
def test_documented_defaults_are_those_of_the_code(name: str) -> None:
    headings = {"GatewaySettings": "Gateway"} | {f"{service.capitalize()}Settings": service for service in SERVICES}
    found, title = SETTING_CLASSES[name], headings.get(name, "Every service")
    if set(found.model_fields) == set(dui_kit.settings.ServiceSettings.model_fields):
        title = "Every service"
    section = _page("settings.md").split(f"\n## {title}\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]
    told = dict(re.findall(r"^\| `(DUI_[A-Z_]+)` \| (.+?) \|", section, re.MULTILINE))
    inherited = set(dui_kit.settings.ServiceSettings.model_fields) if title in SERVICES else set()
    for setting, field in found.model_fields.items():
        if setting not in inherited:
            assert _shown(told[f"DUI_{setting.upper()}"]) == _value(field.default), setting


def _shown(cell: str) -> str:
    return "" if cell == "empty" else cell.strip("`").lower()


def _value(default: object) -> str:
    plain = default.get_secret_value() if hasattr(default, "get_secret_value") else default
    if plain is None:
        return ""
    return f"{plain:g}" if isinstance(plain, float) else str(plain).lower()


# ------------------------------------------------------------------------------------------------------ tables and words


def test_every_table_is_in_the_architecture() -> None:
    assert _modules_of_services()
    page = _page("architecture.md")
    assert {table for table in Base.metadata.tables if f"`{table}`" not in page} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_the_readme_of_a_service_lists_its_folders(service: str) -> None:
    """In the table that begins with `folder`; `migrations` is in every service."""
    home = ROOT / "services" / service
    table = (
        (home / "README.md")
        .read_text(encoding="utf-8")
        .split("\n| folder |", maxsplit=1)[1]
        .split("\n\n", maxsplit=1)[0]
    )
    folders = {path.parent.name for path in (home / "src" / f"dui_{service}").glob("*/__init__.py")}
    assert {name.rstrip("/") for name in _named(table)} == folders - {"migrations"}


@pytest.mark.parametrize("flow", ["A request", "An event", "The access journal", "A login"])
def test_every_flow_has_a_diagram_that_can_be_drawn(flow: str) -> None:
    section = _page("architecture.md").split(f"\n## {flow}\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]
    diagram = re.search(r"```mermaid\n(sequenceDiagram\n.*?)```", section, re.DOTALL)
    assert diagram is not None
    assert ";" not in diagram[1]  # it ends a statement, also in the middle of a text


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_every_value_of_the_contract_has_a_french_label(value: EnumValueDescriptor) -> None:
    exempt = {"dui.options.v1.Format"}  # never shown: what a format asks for is told by its refusal, in both languages
    label = value.GetOptions().Extensions[options_pb2.label_fr]
    assert label.strip() or value.type.full_name in exempt


def _label(method: MethodDescriptor) -> str:
    return str(method.GetOptions().Extensions[options_pb2.operation_label_fr])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_call_has_a_french_name_for_the_journal(method: MethodDescriptor) -> None:
    """`option (dui.options.v1.operation_label_fr) = "Lecture d'une allergie";` beside its access rule."""
    label = _label(method)
    assert label == label.strip()
    assert label[:1].isupper()
    assert not label.endswith(".")


def test_no_two_calls_have_the_same_french_name() -> None:
    """Or a data-protection officer takes one for the other."""
    named = Counter(_label(method) for method in METHODS)
    assert [label for label, count in named.items() if count > 1 and label] == []


def test_every_service_resource_and_enum_is_in_the_glossary() -> None:
    words = set(_CODE.findall(_page("glossary.md")))
    services = {_snake(service.name.removesuffix("Service")) for service in contract_files.services()}
    resources = {
        _snake(message.name)
        for message in contract_files.messages()
        if not message.name.endswith(("Request", "Response")) and message.full_name not in EVENTS
    }
    enums = {_snake(enum.name) for enum in contract_files.enums()}
    assert (services | resources | enums) - words == set()


# ------------------------------------------------------------------------------------------------------------ decisions


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    assert [int(path.name[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))
    index = _page("adr/README.md")
    assert [path.name for path in ADRS if f"({path.name})" not in index] == []


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_every_decision_begins_with_its_number_and_its_status(path: Path) -> None:
    title, blank, status = path.read_text(encoding="utf-8").split("\n", maxsplit=2)
    number = int(path.name[:4])
    assert re.fullmatch(rf"# {number}\. \S.*[^.]", title)
    assert f"| {number} | [{title.removeprefix(f'# {number}. ')}]({path.name}) |" in _page("adr/README.md")
    assert blank == ""
    decision = r"\[\d+\]\((\d{4}-[a-z0-9-]+\.md)\)"
    found = re.match(rf"(?:Accepted|Replaced by {decision}), [A-Z][a-z]+ 20\d\d\.", status)
    assert found is not None
    if found[1]:
        assert f"Replaces [{number}]({path.name})" in _page(f"adr/{found[1]}")


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_every_decision_has_an_enforcer_that_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for title in ("Context", "Decision", "Alternatives", "Consequences"):
        assert f"\n## {title}\n" in text
    enforcer = re.search(r"^\*\*Enforcer:\*\* (.+?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert enforcer is not None
    paths = [name for name in _CODE.findall(enforcer[1]) if "/" in name or name.startswith(".")]
    assert paths
    assert [name for name in paths if not (ROOT / name).exists()] == []


# ---------------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize("path", tracked(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [target for target in targets if target and not (path.parent / target).exists()] == []


@pytest.mark.parametrize(
    "path", tracked(".py", ".proto", ".sh", ".yml", ".toml"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_what_a_comment_refers_to_exists(path: Path) -> None:
    cited = re.findall(
        r"(?<![\w/.<])((?:docs|libs|services|gateway|deploy)/[\w./-]+\.\w+|docs/[\w./-]+)",
        path.read_text(encoding="utf-8"),
    )
    assert [name for name in cited if not (ROOT / name.rstrip(".")).exists()] == []


def test_nothing_names_a_machine_or_a_registry() -> None:
    """A checkout works anywhere: no path of one machine, no address of a package registry outside of the lock file."""
    machine = re.compile(r"(?<![\w./<{$-])/(?:home|Users|root|work|workspace)/[A-Za-z_.]")
    registry = re.compile(
        r"(?:https?:)?//[\w.-]*(?:pypi|pythonhosted|npmjs|yarnpkg|maven|goproxy|crates|rubygems)[\w.-]*"
    )
    mirror = re.compile(r"^\s*(?:extra-)?index-url\s*=|^\s*registry\s*=\s*\S*//", re.MULTILINE)
    found = []
    for path in tracked():
        if path.name == "uv.lock":
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        found += [f"{name}: {hit[0]}" for pattern in (machine, registry, mirror) if (hit := pattern.search(text))]
    assert found == []


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
    asked = {
        (page.name, "".join(target))
        for page in pages
        for target in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {(page, target) for page, target in asked if target not in targets} == set()
