"""What is known of substances that interact: the ANSM thesaurus, names that lead to it, and the check of a treatment.

A safety net, not a certified prescribing aid: it says what it found, with which edition, and what it could not check.
"""
