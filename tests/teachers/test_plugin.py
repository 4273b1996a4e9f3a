"""Names that paid answers are found under: fingerprints and the keys of replies."""

from __future__ import annotations

import hashlib

from lvlm2p.teachers import fingerprint_of, reply_key


def test_a_fingerprint_names_the_facts_whatever_their_order() -> None:
    facts = {"teacher": "expert", "options": {"seed": 1, "confidence": 0.9}, "size": None}
    other = {"size": None, "options": {"confidence": 0.9, "seed": 1}, "teacher": "expert"}
    text = '{"options":{"confidence":0.9,"seed":1},"size":null,"teacher":"expert"}'
    assert fingerprint_of(facts) == fingerprint_of(other)
    assert fingerprint_of(facts) == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert fingerprint_of({**facts, "size": 0}) != fingerprint_of(facts)


def test_a_reply_is_found_by_teacher_state_sample_and_turn() -> None:
    assert reply_key("fa4e", "77", 0, 1) == "fa4e/77/0/1"
    assert reply_key("fa4e", "77", 2, "1/3") == "fa4e/77/2/1/3"
