"""Is the user unhappy with the answer? The next user turn, in the context of what was said before.

Rules find what people do after a bad answer: correct it, complain, ask again, ask for a person, give up (the reactions of
Petrak et al. 2023, "Learning From Free-Text Human Feedback", and Sandbank et al. 2018, "Detecting Egregious
Conversations between Customers and Virtual Agents"). A logistic regression over sentence vector and words, fitted on
GoEmotions (Demszky et al. 2020), hears the tone. A second one weighs both.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import PACKAGED_SHA256, Vectors
from scoring.heads import Head, load_head
from scoring.signals.base import Batch, Detail, Evidence
from scoring.transcripts import Exchange
from scoring.wording import cannot_answer, content_words, is_english, is_small_talk, plain, words

Floats = NDArray[np.float64]

_EARLIER = 6
"""Earlier questions of the conversation that a follow-up is compared with."""
_TOKEN = re.compile(r"[^\W_]+(?:'[a-z]+)?|[!?]+")

_PERSON = (
    r"(?:human|person|agent|representative|rep|operator|advisor|adviser|specialist|manager|supervisor|someone|somebody|staff|"
    r"member of staff|consultant|colleague|employee|people)"
)
RULES: dict[str, re.Pattern[str]] = {
    "person": re.compile(
        rf"\b(?:talk|speak|chat|connect|transfer|forward|escalate|pass|put|get|give|want|need|like|reach|contact)(?: me|"
        rf" us)?(?: (?:to|with|through to|through|on to|over to))?"
        rf"(?: (?:a|an|the|your|any|some|another|one of your))?(?: (?:real|live|actual|human|proper|physical|customer|"
        rf"support|service|different|senior|competent))*[ -]{_PERSON}\b"
        r"|\b(?:real|live|actual) (?:human|person|agent|people|support)\b|^(?:a |an )?(?:human|agent|operator|"
        r"representative|real person|live agent)(?: please)?\W*$"
        r"|\bhuman (?:please|support|agent|help|being)\b|\bcustomer (?:service|support|care) (?:number|phone|please)\b|"
        r"\b(?:let me|can i|could i|may i|i want to|i'd like to|i need to) (?:speak|talk) "
        r"(?:to|with) (?:your |the |a )?(?:manager|supervisor|boss|someone|somebody|human|person|people|agent)\b|"
        r"\bfile a complaint\b|\bmake a (?:formal )?complaint\b"
    ),
    "correction": re.compile(
        r"^(?:no|nope|nah)\b[,.!; ]+(?:no\b[,.! ]+)?(?:i (?:mean|meant|said|asked|want(?:ed)?|need(?:ed)?|am asking|"
        r"was asking|did(?:n't| not)|don't|do not|have|already)|i'm (?:asking|talking|not)|not\b|that|it|this|you|the|my|"
        r"wrong|incorrect|what|how|where|when|still)"
        r"|\b(?:that's|that is|that was|this is|it's|thats|you're|you are|your answer is|your information is|the (?:answer|"
        r"information|link|number|address) is) (?:also |just |still |completely |totally |simply |really |all |clearly |"
        r"definitely )*"
        r"(?:not (?:what i|right|correct|true|it\b|the (?:right|correct|one|question|answer|problem|issue|point|same)|"
        r"my (?:question|problem|issue|point)|an answer|answering|accurate|helpful|relevant|listening|understanding|"
        r"getting)|wrong|incorrect|false|inaccurate|mistaken|outdated|misleading|nonsense)"
        r"|\bnot what i(?:'m| am| was| have|'ve|'d)? (?:\w+ ){0,2}?(?:ask|mean|want|need|look|said|say|order|request|"
        r"talking)|\bi (?:meant|mean) \w+|\bi (?:did not|didn't|never) (?:ask|say|mean|want|request|order)"
        r"|\bi (?:asked|said|was asking|am asking)\b(?! (?:him|her|them|my))|\bi'm asking\b|\byou(?:'ve|"
        r" have)? (?:misunderst\w+|got (?:it|that|me) wrong|didn't (?:answer|understand|read|listen|get|help)|"
        r"did not (?:answer|understand|read|listen|get|help)|"
        r"don't (?:understand|get (?:it|me)|listen|know)|do not (?:understand|listen)|aren't (?:listening|understanding|"
        r"helping|answering)|are not (?:listening|understanding|helping|answering)|still (?:haven't|didn't|have not)|"
        r"haven't answered|have not answered|keep \w+ing)"
        r"|\b(?:doesn't|does not|didn't|did not|don't) (?:really |even )?(?:answer|address) (?:my|the|that|this|what)|"
        r"\bwrong (?:answer|one|question|number|person|city|date|address|link|order|item|product|account|thing|way|place|"
        r"day|name|again)\b|\banswer (?:my|the) question\b"
        r"|\bplease (?:read|answer)\b|\bread (?:my|the) (?:question|message)\b|\bnot (?:my|the) question\b|\bunrelated\b|"
        r"\birrelevant\b|\boff[ -]topic\b|\bmakes? (?:no|any|absolutely no) sense\b|\bdoes(?:n't|"
        r" not) make (?:any )?sense\b|\bthat(?:'s| is) not how\b"
    ),
    "mismatch": re.compile(
        r"[,.;] (?:and )?not (?:a |an |the |my |your |in |to |from |for |at |on )?[\w-]+\W*$|^not (?:the|a|an|my|in|to)\b|"
        r"\bi (?:don't|do not) (?:care|need|want)\b"
        r"|\b(?:does not|doesn't|do not|don't) exist\b|\bthere(?:'s| is| are|'re) no (?:such|link|option|button|page|"
        r"number|menu|field)\b|\bno such\b"
        r"|\b(?:link|page|button|number|site|website|code|app) (?:is|does|doesn't|isn't|was) (?:also |still )?(?:dead|"
        r"broken|not|work|down|wrong|empty|expired)"
        r"|\bi (?:already )?know (?:that|what|the|how|this|where)\b|^i know\b|^(?:yes|yeah|ok(?:ay)?|sure)[,. ]+(?:but|"
        r"i know|how|what|and how|when|where|so)\b|^(?:so|again|but)\b"
        r"|\b(?:it's|it has|it is|its) been (?:\d+|an?|two|three|four|five|several|many|over|more|weeks|days|hours)\b|"
        r"\bi need (?:an?|the|my) [\w ]{2,30}, not\b"
        r"|\bwhich (?:is it|one is (?:it|right|correct|true))\b|\b(?:website|site|page|app|email|letter|colleague|agent|"
        r"you) (?:says|said|told me|showed) (?:otherwise|something else|\d|before|that|it|there|the opposite)\b"
        r"|\bout(?:dated| of date)\b|\btoo expensive, i\b|\byou just said\b|\b(?:didn't|did not|don't|do not) ask\b|"
        r"\bhow am i supposed\b|\bthen (?:what|who|why|how)\b|\bthat's not\b"
    ),
    "harsh_words": re.compile(
        r"\b(?:useless|unhelpful|ridiculous|terrible|awful|horrible|pathetic|stupid|dumb|idiot\w*|annoy\w+|frustrat\w+|wtf|"
        r"ffs|bullshit|crap|sucks?|garbage|rubbish|worst|unacceptable|disappoint\w+|waste of (?:my )?time|wasting my time|"
        r"joke|incompetent|"
        r"fed up|sick of|tired of|ripp?ed? ?off|scam|rude|furious|angry|disgust\w+|outrageous|absurd|appalling|nightmare|"
        r"hopeless|infuriating|damn|hell|fuck\w*|shit\w*)\b"
    ),
    "complaint": re.compile(
        r"\b(?:use|help)less\b|\bunhelpful\b|\bstupid (?:bot|machine|thing|robot|answer)\b|\bwaste of (?:my )?time\b|"
        r"\bunacceptable\b|\bthis is (?:ridiculous|a joke|absurd)\b|\bfed up\b"
        r"|\b(?:not|isn't|wasn't|aren't|no|never|hardly|nothing) (?:\w+ ){0,2}?(?:help|helpful|helping|useful|working|"
        r"good enough|acceptable|satisfied|happy|impressed)\b"
        r"|\b(?:doesn't|does not|didn't|did not|don't|won't|isn't|not|still not|never) (?:\w+ )?(?:work|works|working|help|"
        r"helps|solve|fix|open|load|loading|function)\b|\bstill (?:not|no|doesn't|does not|isn't|is not|can't|cannot|hasn't|"
        r"haven't|won't|waiting|broken|the same|wrong|nothing|having|getting|don't|do not|didn't)\b"
        r"|\bi(?:'ve| have)? already (?:told|said|tried|did|done|explained|gave|given|asked|sent|checked|answered|provided|"
        r"mentioned|looked|read|been)|\bi (?:just|literally) (?:told|said|asked|gave|explained|answered)|\bhow many times\b|"
        r"\bover and over\b|\bagain and again\b|\bkeeps? (?:saying|asking|repeating|giving|sending)\b"
        r"|\b(?:same|that) (?:answer|thing|response|link|message|reply|question) (?:again|over|as before|every)|"
        r"\bfor the (?:second|third|fourth|fifth|last|\d+(?:nd|rd|th)|hundredth|millionth) time\b|\b(?:second|third|fourth|"
        r"fifth|three|four|five|several|multiple|many|twice) times? (?:now|already|i)\b|\btried (?:that|this|it|everything)\b"
        r"|\bwhat(?:'s| is) the point\b|\bseriously\s?[?!]|\bare you (?:kidding|serious|joking|even|stupid|broken|listening|"
        r"dumb)\b|\byou(?:'re| are) (?:no help|not helping|not (?:very |really )?(?:helpful|useful)|useless|weird)\b|"
        r"\bthanks for nothing\b|\bi don't (?:believe|trust) (?:you|this|that)\b|\bcan't you\b|\bcome on[!,. ]"
    ),
    "confused": re.compile(
        r"^(?:what|huh|pardon|sorry|excuse me|eh|wait what|what do you mean|what does that mean|what are you talking about|"
        r"i don't (?:understand|get it|follow)|i do not understand)\W*$|\b(?:i'm|i am) (?:so |really |very |a bit |"
        r"totally )?(?:confused|lost)\b|\bwhat (?:are you|do you mean|is this|has that|does that have)\b|\bi (?:don't|"
        r"do not|didn't|did not) (?:understand|get (?:it|that|what))\b|\bthat(?:'s| is) (?:confusing|unclear|not clear)\b"
    ),
    "giving_up": re.compile(
        r"^(?:ok(?:ay)?[,. ]*|oh[,. ]*|well[,. ]*|just[,. ]*|ugh[,. ]*|fine[,. ]*|no[,. ]*)*(?:forget (?:it|about it|this|"
        r"that)|never ?mind(?: then)?|whatever|i give up|i'm giving up|drop it|leave it|skip it)\b|\bi give up\b|"
        r"\bthis is (?:pointless|hopeless|going nowhere|not working)\b|\bgetting nowhere\b|\bgoing (?:around )?in circles\b"
        r"|\bi(?:'ll| will|'m going to|'m gonna| am going to) (?:just )?(?:call|phone|ring|go elsewhere|go somewhere else|"
        r"look elsewhere|cancel|find (?:it|someone|another)|do it myself|figure it out|try (?:somewhere|someone|another|"
        r"google)|ask (?:someone|somebody|my|google)|google|email|switch|take my business|leave a (?:bad )?review|report)\b"
    ),
    "sarcasm": re.compile(
        r"\bthanks for nothing\b|\b(?:wow|oh|yeah|sure|great|gee|well|thanks|brilliant|fantastic|wonderful|perfect|super|"
        r"nice|amazing|awesome|lovely|good job|well done|congrat\w+|bravo)\b[,.! ]+(?:very |so |really |how |that's |"
        r"that was |that is |now |just |a lot |another |what a )+"
        r"(?:helpful|useful|informative|smart|clever|great|intelligent|i'm|i have|i get|i can|what i|another|still|help|"
        r"more|bot|wonderful|brilliant|perfect)\b|\b(?:yeah|oh) right\b|\b(?:great|brilliant|fantastic|wonderful|perfect|"
        r"awesome|lovely|nice|super|amazing)[,.! ]+(?:and |but |so |now )?(?:still|another|now i|no|it|that didn't|"
        r"that doesn't|i still|not|yet another|then why)\b"
        r"|\b(?:very|so|super|really) (?:helpful|useful|clever|smart|funny)\s?(?:\.\.\.|not\b|/s|🙄|👏)|🙄|\bgenius\b.*\bbot\b|"
        r"\bbest (?:bot|service|support) ever\b.*\bnot\b|\bas if\b[.!]*$|\bhow helpful\b|\bclap\b"
    ),
}  # fmt: skip
_POLITE_NO = re.compile(
    r"^(?:no|nope|nah)[,.! ]*(?:(?:thanks?|thank you|thx|that's (?:all|it|everything|fine|ok|okay|great|perfect|good)|"
    r"that is (?:all|it|everything|fine)|that will be all|that'll be all|that would be all|"
    r"i'm (?:good|fine|ok|okay|all set|done)|i am (?:good|fine|all set)|all good|nothing (?:else|more)|not (?:at the moment|"
    r"right now|now|today|yet|really|at this time)|it's (?:ok|okay|fine)|no need|don't worry|need|i (?:don't|"
    r"do not) (?:need|want|have) (?:any|anything|a|to)|you(?:'ve| have) been)\b.*)?\W*$"
)
_CHANGED_WISH = re.compile(
    r"^(?:(?:ok(?:ay)?|oh|hmm+|well|alright|yes|yeah|sure|great|thanks|no|sorry|and|also|so)[,.! ]+)*(?:(?:actually|instead|"
    r"rather|on second thought)\b[,. ]*(?:i(?:'d| would) (?:prefer|like|rather)|can|could|make|let's|change|i want|i think|"
    r"please|how about|what about)|(?:what|how) about\b|(?:and|also|then) (?:what|how|can|is|are|do|does|where|when|for)\b|"
    r"i(?:'d| would) (?:prefer|rather|also|like)\b|"
    r"can (?:you|we|i) (?:also|change|make it|try)\b|let's (?:try|do|go|make|change)\b|is there (?:another|any other|"
    r"anything else|one)\b|do you have (?:another|any other|anything else|something else)\b|try (?:a |another |"
    r"the )?\w+ (?:instead|then)?)"
)
_THANKS = re.compile(
    r"\b(?:thanks?|thank you|thx|cheers|appreciate|great|perfect|awesome|excellent|wonderful|brilliant|fantastic|amazing|"
    r"helpful|that helps|helped|got it|good to know|works (?:now|great|fine|perfectly)|worked|solved|love it|sounds (?:good|"
    r"great|perfect|nice)|that's (?:great|perfect|good|fine|all|nice|what i needed|exactly)|that works|cool|nice|"
    r"you're the best|lovely)\b"
)
_EMPHASIS = re.compile(r"(?<=[a-z,] )(?!I\b)[A-Z]{4,}\b|^[A-Z]{4,}\b(?= [a-z])")
_ANGRY_SIGNS = re.compile(r"[😠😡🤬😤👎💩🤦😒🖕]")

FEATURES = (
    "tone", "person", "correction", "mismatch", "harsh_words", "complaint", "confused", "giving_up", "sarcasm", "angry_signs",
    "shouting",
    "many_marks",
    "repeat", "exact_repeat",
    "thanks", "polite_no", "changed_wish", "small_talk", "bot_gave_up", "bot_gave_up_before", "bot_repeats", "handed_over",
    "no_start", "two_rules",
)  # fmt: skip
_SARCASM = FEATURES.index("sarcasm") - 1
_NOTES = {
    "person": "The user asked for a person right after this answer.",
    "handed_over": "A human agent took over right after this answer.",
    "correction": "The user corrected the bot right after this answer.",
    "mismatch": "The user says that this answer does not fit.",
    "complaint": "The user complained right after this answer.",
    "harsh_words": "The user used harsh words right after this answer.",
    "sarcasm": "The user's reply to this answer sounds sarcastic.",
    "giving_up": "The user gave up after this answer.",
    "repeat": "The user asked the same again after this answer.",
    "confused": "The user did not understand this answer.",
    "bot_gave_up_before": "The bot failed to understand, not for the first time in this conversation.",
    "bot_repeats": "The bot gave the same answer as before.",
    "angry_signs": "The user's reply to this answer is full of anger.",
    "shouting": "The user answered in capitals.",
    "bot_gave_up": "The bot did not understand, and the user went on.",
}


@dataclass(frozen=True, slots=True)
class _Read:
    """One exchange as the rules saw it; `values` aligned with FEATURES[1:]."""

    values: tuple[float, ...]
    similarity: float
    silent: bool
    """Nothing to read: neither follow-up nor hand-over nor a bot that failed twice."""
    english: bool


class UserFrustration:
    """Reads the follow-up, what was said before, and whether a human took over."""

    def __init__(self, encoder: str = PACKAGED_SHA256) -> None:
        """`encoder`: digest of the encoder of the vectors that `measure` gets; the tone head's vector part knows one only."""
        tone = load_head("tone")
        self._tone = tone if encoder.startswith(tone.encoder) else load_head("tone_words")
        self._head = load_head("frustration")

    @property
    def name(self) -> str:
        return "user_frustration"

    def measure(self, batch: Batch) -> list[Evidence | None]:
        reads, found = self._read_all(batch)
        return [
            _evidence(exchange, read, float(logit), float(row[0]))
            for exchange, read, logit, row in zip(batch.exchanges, reads, self._head.logits(found), found, strict=True)
        ]

    def inputs(self, batch: Batch) -> Floats:
        """What the head weighs, shape (n, len(FEATURES)); for fitting."""
        return self._read_all(batch)[1]

    def _read_all(self, batch: Batch) -> tuple[list["_Read"], Floats]:
        follow_ups = [exchange.follow_up or "" for exchange in batch.exchanges]
        vectors = batch.vectors.of(follow_ups)
        asked = batch.vectors.of([exchange.question for exchange in batch.exchanges])
        rows_of: dict[int, list[int]] = {}
        for i, exchange in enumerate(batch.exchanges):
            rows_of.setdefault(id(exchange.transcript), []).append(i)
        similarities = np.zeros(len(follow_ups))
        for rows in rows_of.values():
            for position, i in enumerate(rows):
                earlier = [
                    j for j in rows[max(position - _EARLIER, 0) : position] if batch.exchanges[j].start < batch.exchanges[i].start
                ]
                similarities[i] = float((asked[[*earlier, i]] @ vectors[i]).max()) if follow_ups[i] else 0.0
        reads = [_read(*one) for one in zip(batch.exchanges, follow_ups, similarities.tolist(), strict=True)]
        tones = np.clip(tone_logits(self._tone, follow_ups, vectors), -6.0, 4.0)
        tones[[not follow_up for follow_up in follow_ups]] = -2.0  # nothing said: about the mean
        # "Wow, so helpful" sounds kind to the tone head; where a rule hears sarcasm, kindness is no excuse
        tones[[read.values[_SARCASM] > 0 for read in reads]] = np.maximum(tones, -1.0)[
            [read.values[_SARCASM] > 0 for read in reads]
        ]
        rules = np.asarray([read.values for read in reads], dtype=np.float64).reshape(-1, len(FEATURES) - 1)
        return reads, np.column_stack([tones, rules])


def tone_logits(head: Head, texts: Sequence[str], vectors: Vectors) -> Floats:
    """Log-odds per text that it sounds angry, annoyed, disappointed, disapproving or disgusted, shape (n,)."""
    weights = dict(zip(head.features, head.weights.tolist(), strict=True))
    found = np.full(len(texts), head.bias)
    for i, text in enumerate(texts):
        grams = pairs_and_words(text)
        found[i] += sum(weights.get(gram, 0.0) for gram in grams) / math.sqrt(len(grams) + 3)
    if len(head.vector):
        found += vectors.astype(np.float64) @ head.vector
    return found


def pairs_and_words(text: str) -> list[str]:
    """Distinct words, runs of ! and ?, and pairs of neighbours, of the first 200 words."""
    found = [token[:3] if token[0] in "!?" else token for token in _TOKEN.findall(plain(text))[:200]]
    return list(dict.fromkeys([*found, *(f"{one} {two}" for one, two in pairwise(found))]))


def _read(exchange: Exchange, follow_up: str, similarity: float) -> _Read:
    text, asked, answered = plain(follow_up), plain(exchange.question), plain(exchange.answer)
    english = not text or is_english(text)
    before = [plain(turn.text) for turn in exchange.history[-12:] if turn.role == "bot"]
    gave_up = cannot_answer(answered)
    gave_up_before = gave_up and any(cannot_answer(earlier) for earlier in before)
    repeats = len(answered) > 25 and answered in before
    silent = not text and not exchange.handed_over and not gave_up_before
    polite = _POLITE_NO.match(text[:200]) is not None
    changed = _CHANGED_WISH.match(text[:200]) is not None
    hits = {
        name: float(english and not polite and pattern.search(text[:1500]) is not None) if text else 0.0
        for name, pattern in RULES.items()
    }
    if changed and not hits["complaint"] and not hits["harsh_words"] and not hits["person"]:
        hits["correction"] = hits["mismatch"] = 0.0
    if not asked:
        hits["correction"] = hits["mismatch"] = hits["confused"] = 0.0  # a reply to a greeting corrects nothing
    thanks = english and text != "" and _THANKS.search(text[:600]) is not None and not hits["sarcasm"]
    chat = text != "" and is_small_talk(text)
    repeat, exact = (
        _repeat(text, asked, similarity)
        if text and not (polite or changed or chat or (thanks and not hits["correction"]))
        else (0.0, 0.0)
    )
    letters = [character for character in follow_up[:400] if character.isalpha()]
    shouting = float(len(letters) >= 12 and sum(character.isupper() for character in letters) > 0.8 * len(letters))
    if not shouting and _EMPHASIS.search(follow_up[:1500]):
        shouting = 0.4  # one word in capitals: "why was I charged TWICE"
    values = (
        *hits.values(),
        float(_ANGRY_SIGNS.search(follow_up[:1500]) is not None),
        shouting,
        float("!!" in text or "??" in text or "?!" in text),
        repeat,
        exact,
        float(thanks and not any(hits.values())),
        float(polite),
        float(changed),
        float(chat),
        float(gave_up and text != ""),
        float(gave_up_before),
        float(repeats),
        float(exchange.handed_over),
        float(text.startswith(("no ", "no,", "no.", "no!", "nope", "not "))) * float(not polite),
        float(sum(hits[name] for name in hits if name != "harsh_words") >= 2),
    )
    return _Read(values, similarity, silent, english)


def _repeat(text: str, asked: str, similarity: float) -> tuple[float, float]:
    """(how much the follow-up asks again what was asked before, whether in the same words)."""
    if text == asked:
        return 1.0, 1.0
    mine, earlier = content_words(text), content_words(asked)
    shared = len(mine & earlier) / max(min(len(mine), len(earlier)), 1) if len(mine) >= 2 and len(earlier) >= 2 else 0.0
    fresh = any(character.isdigit() for character in text) and {w for w in words(text) if w.isdigit()} != {
        w for w in words(asked) if w.isdigit()
    }
    strength = min(max((similarity - 0.5) / 0.3, 0.0), 1.0) * (0.6 + 0.4 * shared)
    return strength * (0.4 if fresh else 1.0), 0.0


def _evidence(exchange: Exchange, read: _Read, logit: float, tone: float) -> Evidence | None:
    if read.silent:
        return None
    hits = dict(zip(FEATURES[1:], read.values, strict=True))
    strong = any(hits[name] for name in ("handed_over", "bot_gave_up_before", "angry_signs", "exact_repeat"))
    if not read.english and not strong and hits["repeat"] < 0.5:
        return None  # rules and tone know English only
    if not read.english:
        logit = (
            -2.5 + 2.5 * hits["handed_over"] + 2.0 * hits["bot_gave_up_before"] + 3.0 * hits["angry_signs"] + 3.0 * hits["repeat"]
        )
    probability = 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))
    reasons = [name for name in _NOTES if hits[name] >= 0.5]
    if probability < 0.25:
        note = (
            "The user's reply shows no trouble with this answer."
            if exchange.follow_up_turns
            else "Little speaks for trouble after this answer."
        )
    elif reasons:
        note = _NOTES[reasons[0]]
    else:
        note = "The user's reply to this answer sounds unhappy."
    turns = tuple(turn.id for turn in exchange.follow_up_turns) or (exchange.turn_id,)
    detail: Detail = {
        "reasons": tuple(reasons),
        "tone": round(1 / (1 + math.exp(-min(max(tone, -30.0), 30.0))), 4),
        "similarity_to_earlier_questions": round(read.similarity, 4),
    }
    return Evidence("user_frustration", probability, probability, turns, note, detail)
