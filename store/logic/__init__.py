"""Detection logic evaluated here: D&R rules over events, false positive rules over detections."""

from store.logic.evaluator import InvalidRule, Kind, Result, Rule, compile_rule

__all__ = ["InvalidRule", "Kind", "Result", "Rule", "compile_rule"]
