"""Two fictitious associations, made the same at each run: facilities, staff and persons that look like the real thing.

Nobody in it exists. National identifiers carry the test OID (…4.10) and FINESS numbers a fictitious department part; both
have right check digits, because the platform refuses others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from faker import Faker
from stdnum import luhn

#: OID of test national identifiers (INS-NIR de test).
TEST_OID = "1.2.250.1.213.1.4.10"
SEED = 2002_01_02  # the law that this sector lives by: loi n° 2002-2 du 2 janvier 2002


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a facility."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Facility:
    """A facility; `persons` accompanied, whose ages lie in `ages`, by `modality`."""

    key: str
    name: str
    finess_et: str
    category_code: str
    time_zone: str
    town: str
    units: Sequence[Unit]
    persons: int
    ages: tuple[int, int]
    modality: str


@dataclass(frozen=True, slots=True)
class Post:
    """Somebody's post: `role` names them in scripts, `facility` is None for the whole association."""

    role: str
    profession: str
    label: str
    facility: str | None
    with_rpps: bool = False


@dataclass(frozen=True, slots=True)
class Association:
    """One association."""

    slug: str
    name: str
    finess_ej: str
    facilities: Sequence[Facility]
    posts: Sequence[Post]


#: Birth name and date of the person whom the README looks for.
KNOWN = ("Dupré", date(1985, 3, 14))


@dataclass(frozen=True, slots=True)
class Staff:
    """Somebody who works there."""

    given_name: str
    family_name: str
    rpps: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody accompanied."""

    birth_name: str
    given_names: tuple[str, ...]
    birth_date: str
    sex: str
    birth_place_code: str
    nir: str


def finess(body: str) -> str:
    """A FINESS number from its first 8 digits."""
    return body + luhn.calc_check_digit(body)


def _units(*names: str) -> tuple[Unit, ...]:
    return tuple(Unit(f"unit{n}", name) for n, name in enumerate(names, 1))


def associations() -> tuple[Association, ...]:
    """The two associations."""
    paris, reunion = "Europe/Paris", "Indian/Reunion"
    care = (
        Post("secretary", "PROFESSION_SECRETARY", "Secrétaire des admissions", None),
        Post("head", "PROFESSION_DEPARTMENT_HEAD", "Cheffe de service", None),
        Post("nurse", "PROFESSION_NURSE", "Infirmière du FAM", "fam", with_rpps=True),
        Post("educator", "PROFESSION_EDUCATOR", "Éducateur du FAM", "fam"),
        Post("care-assistant", "PROFESSION_CARE_ASSISTANT", "Aide-soignante du FAM", "fam"),
        Post("doctor", "PROFESSION_DOCTOR", "Médecin de l'EHPAD", "ehpad", with_rpps=True),
        Post("dpo", "PROFESSION_DATA_PROTECTION_OFFICER", "Déléguée à la protection des données", None),
        Post("pharmacist", "PROFESSION_PHARMACIST", "Pharmacienne", None, with_rpps=True),
        Post("ehpad-nurse", "PROFESSION_NURSE", "Infirmière de l'EHPAD", "ehpad", with_rpps=True),
    )
    return (
        Association(
            slug="les-tilleuls",
            name="Association Les Tilleuls",
            finess_ej=finess("99000010"),
            facilities=(
                Facility(
                    "fam",
                    "FAM Les Tilleuls",
                    finess("99000011"),
                    "448",
                    paris,
                    "Saint-Aubin",
                    _units("Unité des Lilas", "Unité des Cèdres"),
                    14,
                    (22, 60),
                    "STAY_MODALITY_RESIDENTIAL",
                ),
                Facility(
                    "ehpad",
                    "EHPAD La Fontaine",
                    finess("99000012"),
                    "500",
                    paris,
                    "Saint-Aubin",
                    _units("Rez-de-jardin", "Premier étage"),
                    18,
                    (74, 101),
                    "STAY_MODALITY_RESIDENTIAL",
                ),
                Facility(
                    "esat",
                    "ESAT Les Ateliers du Canal",
                    finess("99000013"),
                    "246",
                    paris,
                    "Villeneuve",
                    _units("Espaces verts", "Blanchisserie"),
                    6,
                    (20, 58),
                    "STAY_MODALITY_WORK",
                ),
            ),
            posts=care,
        ),
        Association(
            slug="horizon-reunion",
            name="Association Horizon Réunion",
            finess_ej=finess("99000020"),
            facilities=(
                Facility(
                    "fam",
                    "FAM Bois-de-Nèfles",
                    finess("99000021"),
                    "448",
                    reunion,
                    "Saint-Denis",
                    _units("Case des Flamboyants"),
                    8,
                    (20, 60),
                    "STAY_MODALITY_RESIDENTIAL",
                ),
                Facility(
                    "ehpad",
                    "EHPAD Les Filaos",
                    finess("99000022"),
                    "500",
                    reunion,
                    "Saint-Pierre",
                    _units("Aile nord"),
                    8,
                    (72, 99),
                    "STAY_MODALITY_RESIDENTIAL",
                ),
            ),
            posts=care,
        ),
    )


class People:
    """Makes staff and persons, the same in the same order for the same association and the same `variant`."""

    def __init__(self, association: Association, variant: str = "") -> None:
        """Seeds the generator with the association's name. `variant`: other people than those of the demo data."""
        self._faker = Faker("fr_FR")
        self._faker.seed_instance(f"{SEED}-{association.slug}{variant}")
        self._serial = 0

    def staff(self, post: Post) -> Staff:
        """Somebody for a post."""
        female = post.role in {
            "secretary",
            "head",
            "nurse",
            "care-assistant",
            "dpo",
            "administrator",
            "pharmacist",
            "ehpad-nurse",
        }
        given = self._faker.first_name_female() if female else self._faker.first_name_male()
        self._serial += 1
        rpps = f"99{self._serial + self._faker.random_int(1, 8) * 10_000_000:08d}"
        return Staff(given, self._faker.last_name(), rpps + luhn.calc_check_digit(rpps) if post.with_rpps else None)

    def persons(self, facility: Facility, today: date) -> Iterator[Person]:
        """The persons of a facility; the first of each FAM is the one that the README looks for."""
        for place in range(facility.persons):
            yield self.person(facility.ages, today, KNOWN if place == 0 and facility.key == "fam" else None)

    def person(self, ages: tuple[int, int], today: date, known: tuple[str, date] | None = None) -> Person:
        """One person whose age lies in `ages`, or whose birth name and date are known."""
        female = self._faker.boolean(55)
        given = self._faker.first_name_female() if female else self._faker.first_name_male()
        second = self._faker.first_name_female() if female else self._faker.first_name_male()
        born = self._faker.date_between_dates(
            date(today.year - ages[1], 1, 1), date(today.year - ages[0], min(today.month, 12), 1)
        )
        born = known[1] if known else born
        self._serial += 1
        department = self._faker.random_int(1, 95)
        commune = f"{department if department != 20 else 21:02d}{self._faker.random_int(1, 500):03d}"
        body = f"{2 if female else 1}{born:%y%m}{commune}{self._serial:03d}"
        return Person(
            birth_name=known[0] if known else self._faker.last_name(),
            given_names=(given, second),
            birth_date=born.isoformat(),
            sex="SEX_FEMALE" if female else "SEX_MALE",
            birth_place_code=commune,
            nir=f"{body}{97 - int(body) % 97:02d}",
        )
