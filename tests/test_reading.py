"""Reading replies: every catalogued case, further wordings as tables, and what holds for any text."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.reading import ABSTAIN, GRADES, LABELS, read_grade, read_trace

UP, DOWN, SAME = LABELS
CASES = Path(__file__).parent / "cases" / "parse_cases.jsonl"
THINK = "<think>GENE_P feeds the pathway that controls GENE_T.</think>"
WHY = "<reasoning>The mechanism is specific.</reasoning>"


def catalogue():
    cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    return [pytest.param(case, id=case["id"]) for case in cases]


@pytest.mark.parametrize("case", catalogue())
def test_catalogue(case):
    if case["kind"] == "generator":
        read = read_trace(case["text"])
        got = {"label": read.answer, "reason": read.reason, "think": read.think}
    else:
        grade = read_grade(case["text"])
        got = {"grade": grade.grade, "reason": grade.reason, "reasoning": grade.reasoning}
    assert got == case["expected"], case["why"]


# What stands inside the answer tag, and the label or the reason wanted.
ANSWERS = [
    ("“Upregulated”", UP),
    ("**upregulated**", UP),
    ("`upregulated`", UP),
    ("[upregulated]", UP),
    ("\n  upregulated  \n", UP),
    (r"\nupregulated\n", UP),
    (r"\boxed{\text{upregulated}}", UP),
    (r"$\boxed{upregulated}$", UP),
    ("<b>upregulated</b>", UP),
    ("<upregulated>", UP),
    ('{"answer": "upregulated"}', UP),
    ("up-regulated", UP),
    ("up\u2010regulated", UP),
    ("up\u2011regulated", UP),
    ("up–regulated", UP),
    ("up-\nregulated", UP),
    ("up\u200bregulated", UP),
    ("ｕｐｒｅｇｕｌａｔｅｄ", UP),
    ("not_differentially_expressed", SAME),
    (r"not\_differentially\_expressed", SAME),
    ("not-differentially-expressed", SAME),
    ("not *differentially* expressed", SAME),
    ("not (significantly) differentially expressed", SAME),
    ("up", UP),
    ("Down.", DOWN),
    ("goes up in K562", UP),
    ("UP (log2FC > 0)", UP),
    ("↑", UP),
    ("⬇️", DOWN),
    ("increased", UP),
    ("Increase in expression", UP),
    ("elevated expression", UP),
    ("decreased", DOWN),
    ("expression is reduced", DOWN),
    ("lower", DOWN),
    ("overexpressed", UP),
    ("slightly upregulated", UP),
    ("likely downregulated (moderate confidence)", DOWN),
    ("GENE_T is downregulated.", DOWN),
    ("B) downregulated", DOWN),
    ("(a) upregulated", UP),
    ("2. downregulated", DOWN),
    ("unchanged", SAME),
    ("no significant change", SAME),
    ("No effect", SAME),
    ("negligible change", SAME),
    ("no difference in expression", SAME),
    ("unaffected", SAME),
    ("not changed", SAME),
    ("isn't differentially expressed", SAME),
    ("not expected to be differentially expressed", SAME),
    ("non-differentially expressed", SAME),
    ("not statistically significantly differentially expressed", SAME),
    ("not differentially regulated", SAME),
    ("not DE", SAME),
    ("NDE", SAME),
    ("not significant", SAME),
    ("no differential expression", SAME),
    ("not upregulated or downregulated", SAME),
    ("neither upregulated nor downregulated", SAME),
    ("no up- or downregulation", SAME),
    ("not upregulated, not downregulated", SAME),
    ("not upregulated/downregulated", SAME),
    ("no change: neither up nor down", SAME),
    ("not differentially expressed rather than downregulated", SAME),
    ("not differentially expressed and unchanged", SAME),
    ("upregulated rather than not differentially expressed", UP),
    ("upregulated, not unchanged", UP),
    ("upregulated instead of downregulated", UP),
    ("upregulated as opposed to downregulated", UP),
    ("more likely downregulated than upregulated", DOWN),
    ("not upregulated but downregulated", DOWN),
    ("upregulated; it is unlikely to be downregulated", UP),
    ("no doubt upregulated", UP),
    ("GENE_T isn’t upregulated, it is downregulated", DOWN),
    ("differentially expressed, namely upregulated", UP),
    ("downregulated because GENE_P increases its decay", DOWN),
    ("upregulated due to reduced repression", UP),
    ("upregulated as GENE_P represses it, or reduces it", "several_labels"),
    ("Since GENE_P increases its decay, GENE_T is upregulated", UP),
    ("downregulated upon knockdown of GENE_P", DOWN),
    ("upregulated after GENE_P is knocked down", UP),
    ("upregulated via loss of a repressor and downregulated via decay", "several_labels"),
    ("I do not know.", ABSTAIN),
    ("I don’t know", ABSTAIN),
    ("Cannot be determined", ABSTAIN),
    ("cannot tell", ABSTAIN),
    ("I am not sure", ABSTAIN),
    ("uncertain", ABSTAIN),
    ("inconclusive", ABSTAIN),
    ("insufficient information", ABSTAIN),
    ("I do not know whether it is upregulated or downregulated", ABSTAIN),
    ("unclear if upregulated, downregulated or unchanged", ABSTAIN),
    ("Whether it is upregulated or downregulated is unclear", ABSTAIN),
    ("I do not know if it is up or down; I would guess upregulated", "several_labels"),
    ("I do not know; if I had to guess, upregulated", "several_labels"),
    ("upregulated, but I am not sure", "several_labels"),
    ("unknown / upregulated", "several_labels"),
    ("upregulated or downregulated", "several_labels"),
    ("up/down", "several_labels"),
    ("upregulated/downregulated", "several_labels"),
    ("upregulated or not differentially expressed", "several_labels"),
    ("upregulated as well as downregulated", "several_labels"),
    ("not differentially expressed, but slightly upregulated", "several_labels"),
    ("differentially expressed or not differentially expressed", "several_labels"),
    ("not downregulated", "negated_label"),
    ("isn't upregulated", "negated_label"),
    ("unlikely to be downregulated", "negated_label"),
    ("no increase", "negated_label"),
    ("differentially expressed, neither up nor down", "negated_label"),
    ("anything but upregulated", "negated_label"),
    ("not significantly upregulated", "negated_label"),
    ("cannot be upregulated", "negated_label"),
    ("not unchanged", "negated_label"),
    ("not upregulated and downregulated", "negated_label"),
    ("differentially expressed, not upregulated", "negated_label"),
    ("differentially expressed", "no_direction"),
    ("significantly changed", "no_direction"),
    ("altered", "no_direction"),
    ("dysregulated", "no_direction"),
    ("DE", "no_direction"),
    ("affected", "no_direction"),
    ("differentially expressed, direction unknown", "no_direction"),
    ("upregulated, downregulated, not differentially expressed, or I do not know", "template_echo"),
    ("[upregulated / downregulated / not differentially expressed / I do not know]", "template_echo"),
    ("'upregulated', 'downregulated', 'not differentially expressed', or 'I do not know'", "template_echo"),
    ("1. upregulated 2. downregulated", "template_echo"),
    ("[upregulated / downregulated]", "template_echo"),
    ("your answer here", "template_echo"),
    ("[answer]", "template_echo"),
    ("...", "template_echo"),
    ("up-regualted", "unknown_label"),
    ("down regulatd", "unknown_label"),
    ("not differentialy expresed", "unknown_label"),
    ("up to 2-fold", "unknown_label"),
    ("GENE_P knockdown", "unknown_label"),
    ("knocked down", "unknown_label"),
    ("knock-down of GENE_P", "unknown_label"),
    ("not expressed", "unknown_label"),
    ("yes", "unknown_label"),
    ("GENE_P upregulates it", "unknown_label"),
    ("no", "unknown_label"),
    ("Notably", "unknown_label"),
    ("NDE1", "unknown_label"),
    ("node", "unknown_label"),
    ("downstream", "unknown_label"),
    ("3", "unknown_label"),
    ("上调", "unknown_label"),
    ("   ", "empty_answer"),
    ("**", "empty_answer"),
    ("I'm sorry, but I can't help with that.", "refusal"),
]


@pytest.mark.parametrize(("wording", "wanted"), ANSWERS)
def test_answer_wording(wording, wanted):
    read = read_trace(f"{THINK}\n<answer>{wording}</answer>")
    assert (read.answer or read.reason, read.think) == (wanted, "ok")


# Whole replies of a generator: the label or reason, and the state of the reasoning.
TRACES = [
    (None, "empty_output", "missing"),
    (" \n", "empty_output", "missing"),
    ("<|eot_id|>", "empty_output", "missing"),
    ("I'm sorry, but I can't assist with that request.", "refusal", "missing"),
    ("I cannot provide predictions about genes.", "refusal", "missing"),
    ("<think>GENE_P</think>I’m sorry, I can’t help.", "refusal", "ok"),
    ("The answer is upregulated.", "missing_answer", "missing"),
    (THINK + "\\boxed{upregulated}", "missing_answer", "ok"),
    (THINK + "upregulated</answer>", "missing_answer", "ok"),
    (THINK, "missing_answer", "ok"),
    ("<think>GENE_P is a kinase that", "truncated", "unclosed"),
    ("<think>\n", "truncated", "unclosed"),
    (THINK + "<ans", "truncated", "ok"),
    (THINK + "\n<", "truncated", "ok"),
    (THINK + "<answer>", "truncated", "ok"),
    (THINK + "<answer>down", "truncated", "ok"),
    (THINK + "<answer>no", "truncated", "ok"),
    (THINK + "<answer>upregul", "truncated", "ok"),
    (THINK + "<answer>not differentially", "truncated", "ok"),
    (THINK + "<answer>upregulated or", "truncated", "ok"),
    (THINK + "<answer>upregulated because GENE_P", "truncated", "ok"),
    (THINK + "<answer>not differentially expressed.", SAME, "ok"),
    (THINK + "<answer>upregulated</ans", UP, "ok"),
    (THINK + "<answer>upregulated</answer", UP, "ok"),
    (THINK + "<answer>upregulated</anwser>", UP, "ok"),
    (THINK + "<answer>upregulated<answer>", UP, "ok"),
    (THINK + "<answer>[upregulated]", UP, "ok"),
    (THINK + "<answer></answer>", "empty_answer", "ok"),
    (THINK + "<answer></answer><answer>upregulated</answer>", UP, "ok"),
    (THINK + "Between <answer> and </answer>: <answer>upregulated</answer>", UP, "ok"),
    (THINK + "<answer>upregulated</answer><answer>downregulated</answer>", "conflicting_answers", "ok"),
    (THINK + "<answer>upregulated</answer><answer>not upregulated</answer>", "conflicting_answers", "ok"),
    (THINK + "<answer>up</answer> so <answer>Upregulated.</answer>", UP, "ok"),
    ("<THINK>GENE_P</THINK><ANSWER>up</ANSWER>", UP, "ok"),
    ("< think >GENE_P</ think >< answer >up</ answer >", UP, "ok"),
    ("<thinking>GENE_P</thinking><answer>up</answer>", UP, "ok"),
    ("```xml\n<think>GENE_P</think>\n<answer>\nup\n</answer>\n```", UP, "ok"),
    ("`<think>`GENE_P`</think>``<answer>` [up] `</answer>`", UP, "ok"),
    ("<think></think><answer>up</answer>", UP, "empty"),
    ("</think><answer>up</answer>", UP, "empty"),
    ("<think>GENE_P <answer>up</answer>", UP, "unclosed"),
    ("<think>A</think><think>B <answer>up</answer>", UP, "unclosed"),
    ("<think>A <think>B</think><answer>up</answer>", UP, "nested"),
    ("<think>A</think><think>B</think><answer>up</answer>", UP, "nested"),
    ("<think>End with </think> now. B</think><answer>up</answer>", UP, "ok"),
    ("<think>A</think><answer>up</answer></think>", UP, "ok"),
    ("<think>A</think><answer>up</answer><think>B</think>", UP, "after_answer"),
    (
        "<think>A</think><answer>up</answer><think>B</think><answer>down</answer>",
        "conflicting_answers",
        "after_answer",
    ),
    ("<answer>up</answer><think>A</think><answer>down</answer>", "conflicting_answers", "after_answer"),
    ("<think>Use <answer> tags.</think><answer>up</answer>", UP, "contains_answer"),
    ("A <answer>down</answer> B</think><answer>up</answer>", UP, "contains_answer"),
    (
        "<think>A <answer>down</answer> or <answer>up</answer></think>",
        "conflicting_answers",
        "contains_answer",
    ),
    ("<answer>up <think>A</think></answer>", UP, "after_answer"),
    (THINK + "<answer>up</answer><|im_end|>\n<|im_start|>user\n<answer>down</answer>", UP, "ok"),
    (THINK + "<answer>up</answer><｜end▁of▁sentence｜><answer>down</answer>", UP, "ok"),
    (THINK + "<answer>up</answer></s><answer>down</answer>", UP, "ok"),
    ("<|im_start|>assistant\n" + THINK + "<answer>up</answer>", UP, "ok"),
    ("<|start_header_id|>assistant<|end_header_id|>\n\n" + THINK + "<answer>up</answer>", UP, "ok"),
    ("&amp;lt;think&amp;gt;A&amp;lt;/think&amp;gt;&amp;lt;answer&amp;gt;up&amp;lt;/answer&amp;gt;", UP, "ok"),
]


@pytest.mark.parametrize(("text", "wanted", "think"), TRACES)
def test_whole_trace(text, wanted, think):
    read = read_trace(text)
    assert (read.answer or read.reason, read.think) == (wanted, think)


# What stands inside the evaluation tag, and the grade or the reason wanted.
EVALUATIONS = [
    ("excellent.", "excellent"),
    (" EXCELLENT\n", "excellent"),
    ("_average_", "average"),
    ("&quot;bad&quot;", "bad"),
    ("The reasoning is excellent.", "excellent"),
    ("Rating: excellent (5/5)", "excellent"),
    ("I would rate this as good.", "good"),
    ("Overall: terrible!", "terrible"),
    ("excellent - the mechanism is specific", "excellent"),
    ("excellent\nThe mechanism is specific.", "excellent"),
    ("excellent because it names the complex", "excellent"),
    ("Good reasoning overall", "good"),
    ("excellent, without errors", "excellent"),
    ("excellent<reasoning>Specific.</reasoning>", "excellent"),
    ("good, not excellent", "good"),
    ("average rather than good", "average"),
    ("very good", "qualified_grade"),
    ("good+", "qualified_grade"),
    ("excellent-", "qualified_grade"),
    ("above average", "qualified_grade"),
    ("almost excellent", "qualified_grade"),
    ("close to excellent", "qualified_grade"),
    ("would be excellent", "qualified_grade"),
    ("excellent in parts", "qualified_grade"),
    ("excellent but too short", "qualified_grade"),
    ("excellent, although vague", "qualified_grade"),
    ("excellent with minor errors", "qualified_grade"),
    ("excellent; it lacks the cell line", "qualified_grade"),
    ("excellent (3/5)", "qualified_grade"),
    ("good-ish", "qualified_grade"),
    ("excellent?", "qualified_grade"),
    ("excellent for the most part", "qualified_grade"),
    ("not bad", "negated_grade"),
    ("not excellent", "negated_grade"),
    ("isn't excellent", "negated_grade"),
    ("far from excellent", "negated_grade"),
    ("less than excellent", "negated_grade"),
    ("neither good nor bad", "negated_grade"),
    ("good to excellent", "several_grades"),
    ("average-good", "several_grades"),
    ("Excellent. The evidence is good.", "several_grades"),
    ("[excellent/good/average/bad/terrible]", "template_echo"),
    ("excellent, good, average, bad, or terrible", "template_echo"),
    ("your evaluation here", "template_echo"),
    ("...", "template_echo"),
    ("excelent", "unknown_grade"),
    ("outstanding", "unknown_grade"),
    ("5/5", "unknown_grade"),
    ("goodness", "unknown_grade"),
    ("\n", "empty_evaluation"),
]


@pytest.mark.parametrize(("wording", "wanted"), EVALUATIONS)
def test_evaluation_wording(wording, wanted):
    read = read_grade(f"<evaluation>{wording}</evaluation>{WHY}")
    assert (read.grade or read.reason) == wanted


# Whole replies of a critic: the grade or reason, and the state of the justification.
CRITIQUES = [
    (None, "empty_output", "missing"),
    ("I'm sorry, I can't help with that.", "refusal", "missing"),
    ("excellent", "missing_evaluation", "missing"),
    (WHY, "missing_evaluation", "ok"),
    (WHY + "<evalu", "truncated", "ok"),
    (WHY + "<evaluation>", "truncated", "ok"),
    (WHY + "<evaluation>excellent", "excellent", "ok"),
    (WHY + "<evaluation>excellent</eval", "excellent", "ok"),
    (WHY + "<evaluation>excellent bec", "truncated", "ok"),
    (WHY + "<evaluation>good</evaluation><evaluation>Good.</evaluation>", "good", "ok"),
    ("<reasoning></reasoning><evaluation>good</evaluation>", "good", "empty"),
    ("<reasoning>Sound. <evaluation>good</evaluation>", "good", "unclosed"),
    ("Sound.</reasoning><evaluation>good</evaluation>", "good", "unopened"),
    ("<reasoning>Sound. <evaluation>good</evaluation></reasoning>", "good", "contains_evaluation"),
    (
        "<reasoning>No <evaluation>bad</evaluation>.</reasoning><evaluation>good</evaluation>",
        "good",
        "contains_evaluation",
    ),
    ("<evaluation>good<reasoning>Not excellent.</reasoning></evaluation>", "good", "ok"),
    (
        "<think>Is it <evaluation>excellent</evaluation>?</think>" + WHY + "<evaluation>good</evaluation>",
        "good",
        "ok",
    ),
    ("Excellent?</think>" + WHY + "<evaluation>good</evaluation>", "good", "ok"),
    ("<reasoning>Its <think>a</think> is sound.</reasoning><evaluation>good</evaluation>", "good", "ok"),
    ("<think>So <evaluation>excellent</evaluation></think>", "missing_evaluation", "missing"),
    ("<think>The trace names", "truncated", "missing"),
    (WHY + "<evaluation>good</evaluation><|eot_id|><evaluation>bad</evaluation>", "good", "ok"),
]


@pytest.mark.parametrize(("text", "wanted", "state"), CRITIQUES)
def test_whole_critique(text, wanted, state):
    read = read_grade(text)
    assert (read.grade or read.reason, read.reasoning) == (wanted, state)


def test_reasoning_is_the_models_own_text():
    own = "GENE_P\u2010linked “loss” &amp; p < 0.05\n\n- two  blanks"
    assert read_trace(f"<think>\n{own}\n</think><answer>up</answer>").reasoning == own
    assert read_grade(f"<reasoning> {own} </reasoning><evaluation>bad</evaluation>").justification == own
    assert read_trace("<think>A <think>B</think> C</think><answer>up</answer>").reasoning == "A <think>B</think> C"
    assert read_trace("A</think><answer>up</answer>").reasoning == "A"
    assert read_trace("<think>A <answer>up</answer>").reasoning == "A"
    assert read_trace("&lt;think&gt;p &lt; 0.05&lt;/think&gt;&lt;answer&gt;up&lt;/answer&gt;").reasoning == "p < 0.05"


def test_thinking_field_stands_in_for_missing_tags_only():
    assert read_trace("<answer>up</answer>", " Because. ") == (UP, None, "field", "Because.")
    assert read_trace("<think></think><answer>up</answer>", "Because.") == (UP, None, "field", "Because.")
    assert read_trace("<think>A</think><answer>up</answer>", "Because.") == (UP, None, "ok", "A")
    assert read_trace("<answer>up</answer>", " ") == (UP, None, "missing", None)
    assert read_trace(None, "Because.") == (None, "empty_output", "field", "Because.")
    assert read_trace("<answer>up</answer>", "I write <answer>").think == "contains_answer"


PIECES = [
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "<reasoning>",
        "</reasoning>",
        "<evaluation>",
        "</evaluation>",
    ),
    *(
        "<",
        "&lt;answer&gt;",
        "&amp;lt;think&amp;gt;",
        "<|eot_id|>",
        "<s>",
        "\\boxed{",
        "}",
        "(",
        "\n\n",
        " not ",
        " or ",
    ),
    *(" and ", " whether ", " because ", *LABELS, *GRADES, ABSTAIN, "up", "very ", "↑", "\u200b", "—"),
]
REPLIES = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=14).map("".join)
MAYBE = st.one_of(st.none(), st.text(), REPLIES)


@settings(max_examples=400)
@given(MAYBE, MAYBE)
def test_any_text_is_read(text, thinking):
    trace, grade = read_trace(text, thinking), read_grade(text)
    assert (trace.answer is None) != (trace.reason is None)
    assert trace.answer in (None, ABSTAIN, *LABELS)
    assert (grade.grade is None) != (grade.reason is None)
    assert grade.grade in (None, *GRADES)
    for own, state in ((trace.reasoning, trace.think), (grade.justification, grade.reasoning)):
        assert own is None if state in ("missing", "empty") else own is not None
        if own and "&" not in (text or ""):
            assert own in (thinking or "") or own in (text or "")


BEFORE = st.sampled_from(
    ["", "likely ", "Most likely: ", "slightly ", "1. ", "**", "GENE_T is strongly ", "(", "“", "\n"]
)
AFTER = st.sampled_from(
    ["", ".", "**", ")", "”", " in K562 cells", " (moderate confidence)", " because of GENE_P", "\n"]
)


@given(BEFORE, st.sampled_from(LABELS), AFTER, st.booleans())
def test_a_label_among_hedges_stays(before, label, after, shout):
    said = label.upper() if shout else label
    assert read_trace(f"{THINK}<answer>{before}{said}{after}</answer>").answer == label
