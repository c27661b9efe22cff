"""Why a posology cannot be given as it is written; the texts name the remedy."""

from __future__ import annotations

from dui_kit.errors import Code, Reason

DOSAGE_MISSING = Reason(
    "DOSAGE_MISSING",
    Code.INVALID_ARGUMENT,
    fr="La ligne ne dit pas quand donner : ajoutez au moins une étape, ou « si besoin ».",
    en="The line does not say when to give: add at least one step, or say as needed.",
)
DOSAGE_AMBIGUOUS = Reason(
    "DOSAGE_AMBIGUOUS",
    Code.INVALID_ARGUMENT,
    fr="La ligne est à la fois programmée et « si besoin » : faites-en deux lignes.",
    en="The line is both scheduled and as needed: make it two lines.",
)
STEPS_TOO_MANY = Reason(
    "STEPS_TOO_MANY",
    Code.INVALID_ARGUMENT,
    fr="Pas plus de {most} étapes par ligne : prescrivez la suite sur une autre ligne.",
    en="No more than {most} steps a line: prescribe what follows on another line.",
)
STEP_EMPTY = Reason(
    "STEP_EMPTY",
    Code.INVALID_ARGUMENT,
    fr="L'étape ne dit pas quoi donner : indiquez des heures, un intervalle ou une perfusion.",
    en="The step does not say what to give: set times, an interval or an infusion.",
)
STEP_AMBIGUOUS = Reason(
    "STEP_AMBIGUOUS",
    Code.INVALID_ARGUMENT,
    fr="L'étape donne à la fois des heures, un intervalle ou une perfusion : gardez-en un.",
    en="The step has times, an interval or an infusion together: keep one of them.",
)
STEP_DAYS_INVALID = Reason(
    "STEP_DAYS_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Une étape dure de 1 à {most} jours.",
    en="A step lasts from 1 to {most} days.",
)
STEP_DAYS_MISSING = Reason(
    "STEP_DAYS_MISSING",
    Code.INVALID_ARGUMENT,
    fr="Seule la dernière étape peut aller jusqu'à la fin de la ligne : indiquez la durée de celle-ci en jours.",
    en="Only the last step may last until the end of the line: set how many days this one lasts.",
)
STEP_WITHOUT_DOSE = Reason(
    "STEP_WITHOUT_DOSE",
    Code.INVALID_ARGUMENT,
    fr="Rien n'est à donner pendant cette étape : vérifiez ses jours, ses heures et les dates de la ligne.",
    en="Nothing is due during this step: check its days, its times and the dates of the line.",
)
DOSES_TOO_MANY = Reason(
    "DOSES_TOO_MANY",
    Code.INVALID_ARGUMENT,
    fr="Pas plus de {most} heures de prise par jour : utilisez un intervalle ou une perfusion.",
    en="No more than {most} times a day: use an interval or an infusion.",
)
DOSE_TIME_INVALID = Reason(
    "DOSE_TIME_INVALID",
    Code.INVALID_ARGUMENT,
    fr="L'heure se donne en heures et minutes locales, par exemple 08:00.",
    en="The time is in local hours and minutes, for example 08:00.",
)
DOSE_TIME_TWICE = Reason(
    "DOSE_TIME_TWICE",
    Code.INVALID_ARGUMENT,
    fr="Cette heure figure deux fois dans l'étape : indiquez une seule quantité par heure.",
    en="This time stands twice in the step: set one quantity for each time.",
)
QUANTITY_NOT_POSITIVE = Reason(
    "QUANTITY_NOT_POSITIVE",
    Code.INVALID_ARGUMENT,
    fr="La quantité doit être un nombre supérieur à zéro.",
    en="The quantity must be a number above zero.",
)
QUANTITY_TOO_LARGE = Reason(
    "QUANTITY_TOO_LARGE",
    Code.INVALID_ARGUMENT,
    fr="La quantité dépasse {most} : vérifiez l'unité, ou prenez-en une plus grande.",
    en="The quantity is above {most}: check the unit, or take a larger one.",
)
QUANTITY_TOO_PRECISE = Reason(
    "QUANTITY_TOO_PRECISE",
    Code.INVALID_ARGUMENT,
    fr="La quantité a plus de {most} décimales : arrondissez-la, ou prenez une unité plus petite.",
    en="The quantity has more than {most} decimals: round it, or take a smaller unit.",
)
INTERVAL_HOURS_INVALID = Reason(
    "INTERVAL_HOURS_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Un intervalle va de 1 à {most} heures : au-delà, indiquez tous les combien de jours.",
    en="An interval is from 1 to {most} hours: beyond that, set every how many days.",
)
INTERVAL_WITH_DAYS = Reason(
    "INTERVAL_WITH_DAYS",
    Code.INVALID_ARGUMENT,
    fr="Un intervalle en heures court tous les jours : retirez les jours, ou donnez des heures de prise.",
    en="An interval in hours runs every day: remove the days, or set times of the day.",
)
INFUSION_HOURS_INVALID = Reason(
    "INFUSION_HOURS_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Une perfusion dure de 1 à 24 heures par jour ; 24 : continue.",
    en="An infusion lasts from 1 to 24 hours a day; 24: continuous.",
)
INFUSION_UNIT = Reason(
    "INFUSION_UNIT",
    Code.INVALID_ARGUMENT,
    fr="Le débit d'une perfusion se donne en masse, en volume ou en unités par heure : changez d'unité.",
    en="The rate of an infusion is a mass, a volume or units an hour: change the unit.",
)
WEEKDAY_INVALID = Reason(
    "WEEKDAY_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Les jours de la semaine vont de 1 (lundi) à 7 (dimanche).",
    en="Days of the week are 1 (Monday) to 7 (Sunday).",
)
EVERY_DAYS_INVALID = Reason(
    "EVERY_DAYS_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Indiquez tous les combien de jours, de 1 à {most}.",
    en="Set every how many days, from 1 to {most}.",
)
DAYS_AMBIGUOUS = Reason(
    "DAYS_AMBIGUOUS",
    Code.INVALID_ARGUMENT,
    fr="Choisissez entre des jours de la semaine et « tous les n jours » : les deux ensemble n'ont pas de sens certain.",
    en="Choose between days of the week and every n days: both together have no certain meaning.",
)
DOSES_TOO_CLOSE = Reason(
    "DOSES_TOO_CLOSE",
    Code.INVALID_ARGUMENT,
    fr="La première prise de l'étape suivante viendrait {gap} h après la dernière de celle-ci, pour un rythme de {hours} h :"
    " ajustez la durée de l'étape.",
    en="The first dose of the next step would come {gap} h after the last one of this step, for a rhythm of {hours} h:"
    " adjust how long the step lasts.",
)
AS_NEEDED_REASON = Reason(
    "AS_NEEDED_REASON",
    Code.INVALID_ARGUMENT,
    fr="Dites pour quel motif donner « si besoin », en {most} caractères au plus.",
    en="Say for what reason to give as needed, in {most} characters at most.",
)
AS_NEEDED_MAX_BELOW_DOSE = Reason(
    "AS_NEEDED_MAX_BELOW_DOSE",
    Code.INVALID_ARGUMENT,
    fr="Le maximum par 24 h est inférieur à une prise : augmentez-le, ou réduisez la prise.",
    en="The maximum in 24 h is below one dose: raise it, or reduce the dose.",
)
AS_NEEDED_GAP_INVALID = Reason(
    "AS_NEEDED_GAP_INVALID",
    Code.INVALID_ARGUMENT,
    fr="Le délai entre deux prises va de 0 à {most} minutes.",
    en="The gap between two doses is from 0 to {most} minutes.",
)
COURSE_ENDS_BEFORE_START = Reason(
    "COURSE_ENDS_BEFORE_START",
    Code.INVALID_ARGUMENT,
    fr="La ligne finit avant de commencer : corrigez l'une des deux dates.",
    en="The line ends before it starts: correct one of the two dates.",
)
COURSE_TOO_LONG = Reason(
    "COURSE_TOO_LONG",
    Code.INVALID_ARGUMENT,
    fr="La ligne dure plus de dix ans : vérifiez les dates, ou laissez la fin ouverte.",
    en="The line lasts more than ten years: check the dates, or leave the end open.",
)
STEPS_BEYOND_COURSE = Reason(
    "STEPS_BEYOND_COURSE",
    Code.INVALID_ARGUMENT,
    fr="Les étapes, qui demandent au moins {days} jours, vont au-delà de la fin de la ligne : repoussez la fin, ou"
    " raccourcissez-les.",
    en="The steps, which need at least {days} days, go beyond the end of the line: move the end, or shorten them.",
)
STEPS_SHORT_OF_COURSE = Reason(
    "STEPS_SHORT_OF_COURSE",
    Code.INVALID_ARGUMENT,
    fr="Les étapes s'arrêtent après {days} jours, avant la fin de la ligne : avancez la fin, ou laissez la dernière étape"
    " sans durée.",
    en="The steps stop after {days} days, before the end of the line: bring the end forward, or leave the last step without"
    " a duration.",
)
FIRST_DOSE_SKIPPED = Reason(
    "FIRST_DOSE_SKIPPED",
    Code.INVALID_ARGUMENT,
    fr="La ligne commence après l'heure de sa première prise, et la suivante n'est pas le jour même : mettez la même heure,"
    " ou commencez le jour de la première prise.",
    en="The line starts after the time of its first dose, and the next one is not the same day: set the same time, or start"
    " on the day of the first dose.",
)
