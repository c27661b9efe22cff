"""What a prescription on paper shows: the law's list (CSP, R5132-3, -22, -29 and -33; arrêté du 6 avril 2011, art. 13)."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import cycle
from zoneinfo import ZoneInfo

import pytest
from dui.medication.v1 import catalogue_pb2
from dui.medication.v1 import prescriptions_pb2 as pb
from dui_kit.errors import Refusal
from dui_kit.times import to_timestamp
from dui_medication.printing.document import prescription_pdf
from dui_medication.printing.texts import DRAWN, MARKED, printable
from dui_medication.printing.values import age, birth_date
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PageObject

from .sheets import (
    BENEFICIARY_ID,
    FLUINDIONE,
    MORPHINE,
    PRESCRIPTION_ID,
    SIGNED_AT,
    line,
    order,
    pages,
    plain,
    prescription,
    reader,
    text,
    view,
)

HOSTILE = [
    '#panic("x")',
    "#sys.inputs.data",
    "*gras* _italique_ `code` $x^2$",
    "@renvoi <edge>",
    "\\ \\u{41} \\\\",
    "= titre",
    "// commentaire /* et */",
    "[crochets] {accolades} (parenthèses)",
    "https://exemple.fr/#a",
    "~ -- --- ... '\"",
    "</script> &amp; %s {0}",
]


SHOWN = sorted(DRAWN.union(*(marks for _, marks in MARKED)))


# ----- What must be there -----


def test_the_prescriber_is_named_with_qualification_number_facility_and_town() -> None:
    shown = text(line())
    for mandatory in (
        "Maëlle LE GOFF",
        "Qualification Docteur en médecine, gériatrie",
        "RPPS 10 003 456 785",
        "EHPAD Les Tilleuls",
        "FINESS 01 000 0024",
        "Bourg-en-Bresse, le 26/11/2026",
    ):
        assert mandatory in shown


def test_the_person_is_named_with_birth_date_age_sex_weight_and_ins() -> None:
    shown = text(line())
    for mandatory in (
        "Nom de naissance Martin",
        "Nom utilisé Durand",
        "Prénoms Jeanne Marie",
        "Date de naissance 03/05/1941",
        "Âge ce jour 85 ans",
        "Sexe Féminin",
        "Poids 52,5 kg le 20/11/2026",
        "Matricule INS 2 95 10 99 126 111 93 (NIR)",
    ):
        assert mandatory in shown


def test_without_a_qualified_identity_no_ins_is_shown() -> None:
    unqualified = prescription()
    unqualified.person.ClearField("ins")
    shown = text(line(), of=unqualified)
    assert "INS" not in shown
    assert "NIR" not in shown


@pytest.mark.parametrize(
    ("oid", "nature"),
    [
        ("1.2.250.1.213.1.4.9", "(NIA)"),
        ("1.2.250.1.213.1.4.10", "(NIR de test)"),
        ("1.2.250.1.213.1.4.11", "(NIR de démonstration)"),
        ("", "(nature inconnue)"),
    ],
)
def test_an_ins_is_shown_with_its_nature(oid: str, nature: str) -> None:
    whose = prescription()
    whose.person.ins_oid = oid
    assert f"2 95 10 99 126 111 93 {nature}" in text(line(), of=whose)


def test_a_line_tells_the_medicine_its_posology_and_all_that_was_ordered_about_it() -> None:
    shown = text(FLUINDIONE)
    for mandatory in (
        "1 sur 1",
        "FLUINDIX 20 mg, comprimé quadrisécable",
        "DCI : FLUINDIONE – Voie : orale – Liste I",
        "1 comprimé à 08:00 et 1 comprimé à 20:00, tous les jours",
        "Du 26/11/2026 au 25/12/2026 inclus (30 jours)",
        "À RENOUVELER 3 FOIS",
        "NON SUBSTITUABLE (MTE : marge thérapeutique étroite)",
        "Indication : Fibrillation atriale",
        "Consignes : Toujours à la même heure.",
        "Administration : Acte infirmier requis",
        "Dose rapportée au poids : 0,4 mg/kg par prise",
        "Écrasement, ouverture, déglutition : Le comprimé peut être écrasé.",
        "Surveillance : INR au moins une fois par mois",
        "Renouvellement d'une prescription habilitée – Dr Petit, cardiologue, le 3 février 2026",
        "Remplace : une ligne antérieure du traitement",
    ):
        assert mandatory in shown


def test_an_alert_gone_beyond_is_shown_with_its_reason_and_a_missing_check_is_never_silent() -> None:
    shown = text(FLUINDIONE)
    assert "Interaction – Association déconseillée – FLUINDIONE et ACIDE ACÉTYLSALICYLIQUE" in shown
    assert "Motif : Surveillance mise en place – INR deux fois par semaine." in shown
    assert "Contrôle indisponible : dose – la dose maximale n'est pas connue" in shown


def test_what_no_line_says_of_the_checks_is_told_of_the_whole_prescription_with_the_number_of_the_line() -> None:
    known = FLUINDIONE.unavailable[0]
    report = pb.SafetyReport(
        alerts=[
            pb.Alert(key="k1", title="dite à la ligne"),
            pb.Alert(key="k2", kind=pb.ALERT_KIND_ALLERGY, title="PÉNICILLINES"),
        ],
        unavailable=[
            known,
            pb.UnavailableCheck(kind=pb.ALERT_KIND_ALLERGY, text="le dossier ne répond pas"),
            pb.UnavailableCheck(kind=pb.ALERT_KIND_DOSE, text="poids inconnu", references=["orders[0]"]),
        ],
    )
    overrides = [
        pb.AlertOverride(alert_key="k1", reason=pb.OVERRIDE_REASON_MONITORED, text="INR deux fois par semaine."),
        pb.AlertOverride(alert_key="k2", reason=pb.OVERRIDE_REASON_TOLERATED, text="Déjà reçue en 2025."),
    ]
    # The narcotic was ordered first, and stands second: after the other medicines.
    shown = text(MORPHINE, FLUINDIONE, of=prescription(report=report, overrides=overrides))
    assert "Contrôle indisponible : allergie – le dossier ne répond pas" in shown
    assert "Contrôle indisponible : ligne 2 – dose – poids inconnu" in shown
    assert "Allergie – PÉNICILLINES. Motif : Association ou médicament déjà toléré – Déjà reçue en 2025." in shown
    assert "dite à la ligne" not in shown
    assert shown.count(known.text) == 1


def test_a_prescription_without_its_checks_says_that_there_were_none() -> None:
    unchecked = prescription()
    unchecked.ClearField("report")
    assert "Contrôle indisponible : aucun contrôle n'est joint" in text(line(), of=unchecked)


@pytest.mark.parametrize(
    ("poison_list", "renewals", "mention"),
    [
        (catalogue_pb2.POISON_LIST_II, 0, "NON RENOUVELABLE"),
        (catalogue_pb2.POISON_LIST_II, 2, "À RENOUVELER 2 FOIS"),
        (catalogue_pb2.POISON_LIST_I, 0, "NON RENOUVELABLE"),
        (catalogue_pb2.POISON_LIST_NARCOTIC, 0, "NON RENOUVELABLE"),
    ],
)
def test_the_paper_of_a_listed_medicine_says_whether_it_is_renewed(
    poison_list: catalogue_pb2.PoisonList, renewals: int, mention: str
) -> None:
    assert mention in text(line(order(renewals=renewals), view(poison_list=poison_list)))


def test_a_medicine_on_no_list_is_not_said_to_be_not_renewable() -> None:
    assert "RENOUVEL" not in text(line())


def test_the_help_with_a_medicine_in_daily_life_is_told_from_a_nursing_act() -> None:
    assert "Aide à la prise possible (CASF, L313-26)" in text(line())
    unsaid = line()
    unsaid.order.ClearField("nursing_act_required")
    assert "Acte infirmier : non précisé" in text(unsaid)


def test_a_line_without_an_end_says_so_and_a_first_time_is_told() -> None:
    endless = line(order(first_at="18:00"))
    endless.order.ClearField("ends_on")
    assert "À partir du 26/11/2026 à 18:00, jusqu'à l'arrêt par un prescripteur" in text(endless)


def test_what_the_catalogue_does_not_have_is_told_to_be_outside_it() -> None:
    shown = text(line(order(cis=None, preparation="Vaseline salicylée"), view("Vaseline salicylée", substances=[])))
    assert "Préparation ou médicament hors catalogue – Voie : orale" in shown


def test_the_foot_tells_who_signed_how_and_that_it_is_the_seal_of_the_platform() -> None:
    shown = text(line())
    for mandatory in (
        "Signé électroniquement le 26/11/2026 à 09:14 (UTC+01:00) par Maëlle LE GOFF (authentification à deux facteurs)",
        f"Identifiant de l'ordonnance : {PRESCRIPTION_ID}",
        "Clé de signature : cle-2026-11",
        "cachet électronique de la plateforme",
        "ce n'est pas une signature électronique qualifiée",
        f"POST /v1/beneficiaries/{BENEFICIARY_ID}/prescriptions/{PRESCRIPTION_ID}:verify",
    ):
        assert mandatory in shown


def test_the_day_of_the_signature_is_a_day_at_the_facility() -> None:
    nightly = prescription(signed_at=to_timestamp(SIGNED_AT.replace(hour=15)))
    made = prescription_pdf(nightly, [line()], zone=ZoneInfo("Pacific/Noumea"))
    assert "27/11/2026 à 02:14 (UTC+11:00)" in plain(reader(made).pages[0].extract_text())


# ----- Narcotics -----


def test_narcotics_have_a_sheet_of_their_own_with_everything_a_prescription_bears() -> None:
    others, narcotics = pages(MORPHINE, FLUINDIONE)
    assert "MORPHINE" not in others
    assert "FLUINDIX" not in narcotics
    for sheet in (others, narcotics):
        for mandatory in ("Nom de naissance Martin", "RPPS 10 003 456 785", "authentification à deux facteurs"):
            assert mandatory in sheet
        assert "1 médicament prescrit sur ce feuillet, 2 en tout" in sheet
    assert "1 sur 2" in others
    assert "2 sur 2" in narcotics


def test_a_narcotic_has_its_amounts_in_words_and_its_overlap_stated() -> None:
    shown = text(MORPHINE)
    for mandatory in (
        "Ordonnance – STUPÉFIANTS",
        "En toutes lettres : un comprimé de dix milligrammes, deux fois par jour",
        "Chevauchement : voulu par le prescripteur avec une prescription de stupéfiants en cours (CSP, R5132-33)",
        "ne remplace pas l'ordonnance sécurisée",
        "Du 26/11/2026 au 23/12/2026 inclus (28 jours)",
    ):
        assert mandatory in shown
    silent = pb.PrescriptionLine()
    silent.CopyFrom(MORPHINE)
    silent.order.overlap_stated = False
    assert "Chevauchement" not in text(silent)


def test_a_medicine_under_the_rules_of_narcotics_without_being_one_has_its_words_among_the_others() -> None:
    shown = text(
        line(None, view("ZOLPIDEM 10 mg", poison_list=catalogue_pb2.POISON_LIST_I, amounts_in_words="un comprimé"))
    )
    assert "En toutes lettres : un comprimé" in shown
    assert "ne remplace pas l'ordonnance sécurisée" in shown
    assert "STUPÉFIANT" not in shown


# ----- Safety of the reader -----


def test_one_invented_medicine_is_told_on_every_page() -> None:
    shown = pages(MORPHINE, line(None, view(fictive=True)))
    assert len(shown) == 2
    assert all("MÉDICAMENT FICTIF – FORMATION NE PAS DÉLIVRER" in page for page in shown)
    assert "FICTIF" not in text(MORPHINE)


def test_a_line_that_was_stopped_since_says_not_to_deliver_it() -> None:
    stopped = line(
        status=pb.LINE_STATUS_STOPPED,
        stopped_at=to_timestamp(SIGNED_AT.replace(day=28)),
        stop_reason=pb.STOP_REASON_ADVERSE_EFFECT,
        stop_text="Éruption",
    )
    shown = text(stopped)
    assert "LIGNE ARRÊTÉE le 28/11/2026 à 09:14 (UTC+01:00) : NE PLUS DÉLIVRER Effet indésirable – Éruption" in shown
    pause = pb.LinePause(since=to_timestamp(SIGNED_AT.replace(day=27)), reason=pb.STOP_REASON_PROCEDURE)
    suspended = text(line(status=pb.LINE_STATUS_SUSPENDED, pauses=[pause]))
    assert "LIGNE SUSPENDUE le 27/11/2026 à 09:14 (UTC+01:00) : NE PLUS DÉLIVRER Intervention ou examen" in suspended
    assert "NE PLUS DÉLIVRER" not in text(line())


def test_a_draft_is_not_printed() -> None:
    draft = prescription(status=pb.PRESCRIPTION_STATUS_DRAFT)
    draft.ClearField("signed_at")
    with pytest.raises(Refusal) as refused:
        prescription_pdf(draft, [])
    assert refused.value.violations[0].reason.name == "PRESCRIPTION_NOT_SIGNED"


def test_forty_lines_are_all_there_with_page_and_person_on_each_page() -> None:
    shown = pages(*(line(None, view(f"MÉDICAMENT{number:02d} 5 mg, gélule")) for number in range(1, 41)))
    assert len(shown) > 3
    for number, page in enumerate(shown, 1):
        assert f"Page {number}/{len(shown)}" in page
        assert "DURAND née MARTIN Jeanne Marie, 03/05/1941" in page
        assert PRESCRIPTION_ID in page
    whole = " ".join(shown)
    assert "40 médicaments prescrits" in whole
    for number in range(1, 41):
        assert f"{number} sur 40 MÉDICAMENT{number:02d} 5 mg, gélule" in whole
    # A line stays whole: its medicine, its posology and who gives it are on one page.
    for page in shown:
        assert page.count("MÉDICAMENT") == page.count("tous les jours") == page.count("Aide à la prise possible")


def test_the_blank_end_of_every_page_is_struck() -> None:
    long = line(order(instructions="Consigne. " * 99), overrides=[FLUINDIONE.overrides[0]] * 40)
    for lines in ([line()] * 17, [MORPHINE, line()], [line(), long, line()], []):
        for page in reader(prescription_pdf(prescription(), lines)).pages:
            lowest, struck = _body_end(page)
            if struck is None:
                assert lowest < FOOT + 16 * MM  # no room for another line
            else:
                top, end = struck
                assert end == pytest.approx(FOOT, abs=1)
                assert 0 < lowest - top < 12 * MM  # just below what is written, and through none of it


MM = 72 / 25.4
#: Bottom of the body of a page, and of its head, in points from the bottom.
FOOT, HEAD = 24 * MM, (297 - 27) * MM


def _body_end(page: PageObject) -> tuple[float, tuple[float, float] | None]:
    """Where the lowest text of the body of a page stands, and from where to where a diagonal strikes it; points from the bottom."""
    lows, diagonals, began = [], [], [(0.0, 0.0)]

    def at(matrix: list[float], x: float, y: float) -> tuple[float, float]:
        return matrix[0] * x + matrix[2] * y + matrix[4], matrix[1] * x + matrix[3] * y + matrix[5]

    def draws(operator: bytes, operands: list[float], matrix: list[float], _: list[float]) -> None:
        if operator in (b"m", b"l"):
            point = at(matrix, *map(float, operands))
            if operator == b"l" and abs(point[0] - began[0][0]) > 100 * MM and abs(point[1] - began[0][1]) > 3 * MM:
                diagonals.append((began[0][1], point[1]))
            began[0] = point

    def writes(written: str, matrix: list[float], of_text: list[float], *_: object) -> None:
        _, height = at(matrix, of_text[4], of_text[5])
        if written.strip() and FOOT < height < HEAD:
            lows.append(height)

    page.extract_text(visitor_operand_before=draws, visitor_text=writes)
    assert len(diagonals) <= 1
    return min(lows), (max(diagonals[0]), min(diagonals[0])) if diagonals else None


# ----- Whatever was typed -----


def test_what_looks_like_markup_is_printed_as_it_was_typed() -> None:
    typed = "\n".join(HOSTILE)
    hostile = line(
        order(indication=typed, instructions=typed, restriction_text=typed),
        view(HOSTILE[0], dosage_text=typed, monitoring=HOSTILE, amounts_in_words=typed),
    )
    whose = prescription()
    whose.person.birth_name = whose.prescriber.family_name = "#panic() *x* @y \\"
    shown = text(hostile, of=whose)
    for each in HOSTILE:
        assert shown.count(each) >= 4
    assert "Nom de naissance #panic() *x* @y \\" in shown


def test_names_of_other_scripts_are_printed_and_what_the_fonts_lack_is_shown_by_its_code_point() -> None:
    whose = prescription()
    whose.person.birth_name, whose.person.given_names = "Зайцева", "Ελένη Łucja"
    whose.person.used_name = "شهرزاد"
    shown = text(line(order(instructions="Avec 😀 et 王, jamais \u202eà l'envers\a.")), of=whose)
    assert "Nom de naissance Зайцева" in shown
    assert "Prénoms Ελένη Łucja" in shown
    # Arabic letters are drawn in the shapes that they take in a word, from right to left.
    assert set("شهرزاد") <= set(unicodedata.normalize("NFKC", shown))
    assert "Avec [U+1F600] et [U+738B], jamais [U+202E]à l'envers[U+0007]." in shown


def test_a_word_from_right_to_left_leaves_the_dose_beside_it_in_its_order() -> None:
    assert printable("כהן דוד 10 mg") == "\u2068כהן דוד\u2069 10 mg"


def test_a_word_longer_than_the_page_stays_on_it() -> None:
    word = "X" * 400
    page = reader(prescription_pdf(prescription(), [line(None, view(word))])).pages[0]
    ends: list[float] = []

    def writes(written: str, matrix: list[float], of_text: list[float], _: object, size: float) -> None:
        # An X of the font is about two thirds of its size wide, at least.
        ends.append(of_text[4] * matrix[0] + matrix[4] + 0.6 * size * written.count("X"))

    shown = page.extract_text(visitor_text=writes)
    assert plain(shown).replace(" ", "").count("X" * 400) == 1
    assert max(ends) < 210 * MM


def test_an_id_or_an_address_is_copied_from_the_page_without_anything_invisible() -> None:
    shown = reader(prescription_pdf(prescription(), [line()])).pages[0].extract_text()
    assert f"/v1/beneficiaries/{BENEFICIARY_ID}/prescriptions/{PRESCRIPTION_ID}:verify" in shown
    assert f"l'ordonnance : {PRESCRIPTION_ID}" in shown


def test_accents_that_would_cover_the_line_above_are_shown_apart() -> None:
    assert printable("e\u0301\u0302\u0303\u0304\u0305") == "é\u0302\u0303[U+0304][U+0305]"


def test_blank_lines_and_runs_of_spaces_leave_no_room_for_another_hand() -> None:
    assert printable("a\t\t \u00a0 b\r\nc\u2028d") == "a b\nc\nd"
    roomy, close = (text(line(order(instructions=typed))) for typed in ("un\n\n\n\n\n\n   deux", "un\ndeux"))
    assert roomy == close


def test_every_character_that_is_let_through_can_be_drawn_in_every_weight() -> None:
    # PDF/UA refuses a page on which a character has no glyph: the compilation is the proof.
    drawn = sorted(DRAWN)
    for start in range(0, len(drawn), 400):
        some = " ".join(f"a{character}" for character in drawn[start : start + 400])
        assert prescription_pdf(prescription(), [line(order(instructions=some), view(some))])
    for letters, marks in MARKED:
        over = cycle(sorted(marks))
        some = " ".join(f"{letter}{next(over)}" for letter in sorted(letters))
        assert prescription_pdf(prescription(), [line(order(instructions=some), view(some))])


def test_a_mark_is_drawn_over_a_letter_of_its_script_and_shown_apart_over_anything_else() -> None:
    assert printable("M\u0308 \u05d0\u05b8 \u0628\u064e") == "M\u0308 \u2068\u05d0\u05b8 \u0628\u064e\u2069"
    assert printable("5\u0338 \u0308") == "5[U+0338] [U+0308]"


@settings(max_examples=25, deadline=None)
@given(st.one_of(st.text(max_size=80), st.text(SHOWN, max_size=80)))
def test_no_text_breaks_the_page(typed: str) -> None:
    whose = prescription(signing_key_id=typed, weight_kg=typed, weighed_on=typed)
    whose.person.birth_name = whose.person.birth_date = whose.prescriber.family_name = typed
    hostile = line(order(instructions=typed, starts_on=typed, ends_on=typed), view(typed, dosage_text=typed))
    assert prescription_pdf(whose, [hostile]).startswith(b"%PDF-")


def test_an_empty_prescription_of_nobody_still_prints() -> None:
    bare = pb.Prescription(signed_at=to_timestamp(SIGNED_AT))
    shown = text(pb.PrescriptionLine(), of=bare)
    for missing in (
        "Qualification non renseignée",
        "RPPS non renseigné",
        "Date de naissance inconnue",
        "Âge ce jour inconnu",
        "Sexe inconnu",
        "Nom de naissance inconnu",
        "Prénoms inconnus",
        "Établissement inconnu",
        "par prescripteur inconnu",
        "Médicament sans nom",
        "Posologie non précisée",
        "Dates non précisées",
        "Clé de signature : non renseignée",
    ):
        assert missing in shown
    assert "Poids" not in shown
    assert "Nom utilisé" not in shown
    assert "Aucun médicament" in text(of=bare)


# ----- The file -----


def test_the_same_prescription_gives_the_same_bytes_from_every_thread() -> None:
    whose, lines = prescription(), [FLUINDIONE, MORPHINE]
    first = prescription_pdf(whose, lines)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: prescription_pdf(whose, lines), range(8)))
    assert set(made) == {first}
    assert prescription_pdf(whose, [FLUINDIONE]) != first


def test_the_file_says_what_it_is_and_can_be_read_aloud() -> None:
    found = reader(prescription_pdf(prescription(), [line()]))
    metadata = found.metadata
    assert metadata is not None
    assert metadata.title == "Ordonnance du 26/11/2026"
    assert metadata.author == "Maëlle LE GOFF"
    assert metadata.creation_date == SIGNED_AT
    assert found.root_object["/Lang"] == "fr-FR"
    assert found.root_object["/MarkInfo"]["/Marked"]
    packet = found.root_object["/Metadata"].get_data().decode()
    assert "<pdfuaid:part>1<" in packet
    assert "<pdfaid:part>2<" in packet
    assert "<pdfaid:conformance>A<" in packet


# ----- Ages -----


@pytest.mark.parametrize(
    ("born", "told"),
    [
        ("1941-05-03", "85 ans"),
        ("1941-11-26", "85 ans"),
        ("1941-11-27", "84 ans"),
        ("2020-11-26", "6 ans"),
        ("2020-12-01", "5 ans et 11 mois"),
        ("2024-11-26", "2 ans"),
        ("2024-11-27", "23 mois"),
        ("2026-10-26", "1 mois"),
        ("2026-10-27", "30 jours"),
        ("2026-11-25", "1 jour"),
        ("2026-11-26", "0 jour"),
        ("1941", "entre 84 ans et 85 ans"),
        ("1941-03", "85 ans"),
        ("2026-11-27", ""),
        ("inconnue", ""),
    ],
)
def test_the_age_is_told_as_closely_as_a_dose_needs_it(born: str, told: str) -> None:
    assert age(born, date(2026, 11, 26)).replace("\u00a0", " ") == told


@pytest.mark.parametrize(
    ("born", "told"), [("1941-05-03", "03/05/1941"), ("1941-05", "en mai 1941"), ("1941", "en 1941"), ("?", "?")]
)
def test_a_date_of_birth_is_told_as_far_as_it_is_known(born: str, told: str) -> None:
    assert birth_date(born) == told
