"""What a pharmaceutical review must say, and when a prescriber answers it."""

from __future__ import annotations

from enum import IntEnum

from dui_kit.errors import Code, Reason, Refusal

REVIEW_PROBLEM_MISSING = Reason(
    "REVIEW_PROBLEM_MISSING",
    Code.INVALID_ARGUMENT,
    fr="Dites quel problème (problem) et expliquez-le (text) : le prescripteur doit pouvoir décider.",
    en="Say which problem (problem) and explain it (text): the prescriber has to be able to decide.",
)
REVIEW_INTERVENTION_MISSING = Reason(
    "REVIEW_INTERVENTION_MISSING",
    Code.INVALID_ARGUMENT,
    fr="Dites ce que vous proposez (intervention).",
    en="Say what you propose (intervention).",
)
REVIEW_ACCEPTED_WITH_PROBLEM = Reason(
    "REVIEW_ACCEPTED_WITH_PROBLEM",
    Code.INVALID_ARGUMENT,
    fr="Une ligne acceptée n'a ni problème ni intervention : retirez-les, ou proposez une modification.",
    en="A line that is accepted has neither a problem nor an intervention: take them out, or propose a change.",
)
REVIEW_NOTHING_TO_ANSWER = Reason(
    "REVIEW_NOTHING_TO_ANSWER",
    Code.FAILED_PRECONDITION,
    fr="Aucun pharmacien n'a proposé de modifier cette ligne ni ne l'a refusée : il n'y a rien à répondre.",
    en="No pharmacist proposed to change this line or refused it: there is nothing to answer.",
)
REVIEW_ALREADY_ANSWERED = Reason(
    "REVIEW_ALREADY_ANSWERED",
    Code.FAILED_PRECONDITION,
    fr="Un prescripteur a déjà répondu à cette analyse : relisez la ligne. Vous pouvez encore l'arrêter ou la remplacer.",
    en="A prescriber has answered this review already: read the line again. You may still stop or replace it.",
)


class Outcome(IntEnum):
    """What is said of a line; the values of `dui.medication.v1.ReviewOutcome`."""

    ACCEPTED = 1
    CHANGE_PROPOSED = 2
    REFUSED = 3


def check_review(outcome: Outcome, *, problem: int, intervention: int, text: str) -> None:
    """Refuses a review that a prescriber could not act on (SFPC, « fiche d'intervention pharmaceutique »)."""
    if outcome is Outcome.ACCEPTED:
        if problem or intervention:
            raise Refusal(REVIEW_ACCEPTED_WITH_PROBLEM, field="review.outcome")
        return
    if not problem:
        raise Refusal(REVIEW_PROBLEM_MISSING, field="review.problem")
    if not text.strip():
        raise Refusal(REVIEW_PROBLEM_MISSING, field="review.text")
    if outcome is Outcome.CHANGE_PROPOSED and not intervention:
        raise Refusal(REVIEW_INTERVENTION_MISSING, field="review.intervention")


def check_answer(outcome: int, *, answered: bool) -> None:
    """Refuses an answer that nobody waits for; `outcome`: of the last review, 0 when there is none."""
    if outcome not in {Outcome.CHANGE_PROPOSED, Outcome.REFUSED}:
        raise Refusal(REVIEW_NOTHING_TO_ANSWER, field="prescription_line_id")
    if answered:
        raise Refusal(REVIEW_ALREADY_ANSWERED, field="prescription_line_id")
