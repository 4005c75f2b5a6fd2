"""The words that stand in predictions and scores, each with one meaning."""

from __future__ import annotations

from curation.schema import LABELS

IDK = "I do not know"
ANSWERS = (*LABELS, IDK)
THREE_CLASS, DIRECTION = ASKED = ("three-class", "direction")  # what a model is asked
DE = "differential expression"  # is scored from three-class answers: either change is one
HARD, SHARE, GIVEN = KINDS = ("hard", "share", "given")  # what a score rests on
PROBABILITIES = ("p_up", "p_down", "p_none")  # of LABELS, in their order
KEY = ("task", "model", "dataset", "split", "side")  # what one set of predictions shares
