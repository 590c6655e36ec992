"""What plain English turns of a support dialogue look like: compiled once, read by several signals.

All of it is for short support English. Text that is clearly in another language is left alone (`is_english`), because a
rule that guesses is worse than a rule that is silent.
"""

import re
from functools import lru_cache

LONGEST = 4000
"""Characters that rules read of a text; a text may be a megabyte of anything."""

WORD = re.compile(r"[^\W_]+(?:'[a-z]+)?")
_STRAIGHT = {"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "\u00a0": " ", "–": "-", "—": "-"}
_SPACES = re.compile(r"\s+")


def word_set(text: str) -> frozenset[str]:
    """The words of a list written as one string."""
    return frozenset(text.split())


STOP_WORDS = word_set(
    """
    a about after all also am an and any anyone anything are as at be because been but by can could did do does doing done
    for from get gets getting give go going got had has have having he hello her here hey hi him his how however i if im in
    into is it its just know let like ll may me might more most much must my need no not of off ok okay on once one only or
    other our out over own please re s same say see shall she should so some still such sure t tell than thank thanks that
    the their them then there these they thing things this those through to too under until up us use using ve very want
    wants was way we well were what when where whether which while who whom why will with within without would yes you your
    yours don didn doesn isn aren won can't cannot couldn don't doesn't isn't i'm i'd i'll i've it's that's what's you're
    """
)
"""Words that carry no topic."""

_COMMON = STOP_WORDS | word_set(
    """
    ask agent answer account back bad bot card change check day email error find good great help human money never new nice
    now number order pay person phone really refund return right service speak stop talk time today tomorrow understand work
    working worked wrong yeah again already another app book booking call cancel order delivery free here later meant item
    last long make many open password people price question shipping store support take try trying useless useful wait week
    welcome
    """
)

_FOREIGN = word_set(
    """
    das ist nicht ich und der wie habe haben ein eine mein meine nein danke bitte warum kann mit von zu auf sie wir du es
    el la los las que quiero con para por una un mi es en está como pero gracias no nada necesito puedo si su del al
    le les je est pas vous une mon ma pour dans avec merci mais où qui sur ce cette bonjour
    il che non per sono mio ho questo grazie ma come di
    een het niet ik wat mijn hoe maar van dat voor
    não eu meu minha obrigado uma isso você o os
    nie jest jak czy moje proszę det är inte jag och som på med har
    """
) - word_set("no la o me a non per du es si al come come of os en il ma")
"""Common words of other languages that use these letters, without those that are English words or abbreviations too."""

SMALL_TALK = re.compile(
    r"^(?:(?:hi|hii+|hello|hey|hiya|howdy|yo|good (?:morning|afternoon|evening|day|night)|greetings|thanks?|thank you|thx|"
    r"ty|cheers|"
    r"ok(?:ay)?|k|cool|great|perfect|awesome|wonderful|nice|excellent|super|lovely|good|fine|sure|got it|i see|alright|"
    r"all right|"
    r"yes|yeah|yep|yup|no|nope|nah|bye|goodbye|see you|see ya|take care|"
    r"(?:that's|that is|that was|it's|that) (?:all|it|everything|great|perfect|good|fine|helpful)|"
    r"how are you(?: doing)?(?: today)?|what's up|nice to meet you|(?:are you|is this|am i (?:talking|"
    r"speaking) to) a (?:ro)?bot|"
    r"who are you|what(?:'s| is) your name|"
    r"(?:you(?:'re| are) )?welcome|no (?:problem|worries)|please|so much|very much|a lot|there|again|everyone|everybody|bot|"
    r"for (?:your|the|all your) (?:help|time|answer|assistance|support|info|information|that)|for that|now|then|"
    r"you(?: too)?|and|have a (?:nice|good|great|lovely) (?:day|one|evening|weekend|night|time))"
    r"(?:\W+|$))+$"
)
"""A turn that asks nothing: greetings, thanks, bare yes and no."""

CANNOT_ANSWER = re.compile(
    r"\bi (?:do not|don't|did not|didn't|"
    r"could not|couldn't|can not|cannot|"
    r"can't|am unable to|was unable to|'m unable to|am not able to|'m not able to|wasn't able to|was not able to) (?:quite |"
    r"fully |really |currently |"
    r"seem to |yet )*(?:know|understand|get (?:that|it|you)|catch (?:that|it)|follow(?: you| that)?\b|find (?:any|an answer|"
    r"the answer|that|what|something|"
    r"anything|relevant|information)|answer|help (?:you )?(?:with that|with this|there|here)|have (?:any |enough |that |"
    r"the |an |access to )"
    r"(?:any |the |that )?(?:info|answer|detail|data)|recogni[sz]e|interpret|process)"
    r"|\bi(?:'m| am) (?:still )?(?:not (?:quite |entirely |really )?sure (?:i|how to|what you|about that|i understand|"
    r"that i)|unable to (?:answer|find|help|understand)|"
    r"not able to (?:answer|find|help|understand)|still learning|just a (?:chat)?bot)"
    r"|\b(?:could|can|would) you (?:please |kindly )?(?:rephrase|reword|repeat (?:that|your)|say (?:that|it) (?:again|"
    r"differently)|try (?:asking|rephrasing)|"
    r"phrase (?:that|it))"
    r"|\b(?:please|try to|try) (?:rephrase|rephrasing|reword|ask(?:ing)? (?:me )?(?:something else|another|it differently|"
    r"in a different))"
    r"|\b(?:didn't|did not|couldn't|could not|don't|do not) (?:quite )?(?:get|catch|understand) (?:that|this|you|your|"
    r"what you|the question|it)\b"
    r"|\b(?:no|not any|couldn't find any|could not find any|didn't find any|found no) (?:relevant |"
    r"matching )?(?:information|results?|answers?|matches|articles?|documents?) "
    r"(?:was |were |is |are )?(?:found|available|about|on|for|matching)"
    r"|\bsomething went wrong\b|\bi have no (?:idea|information|answer)\b|\bthat(?:'s| is) (?:beyond|"
    r"outside)\b[^.]{0,30}\b(?:scope|knowledge|abilit|able)"
    r"|\bi(?:'m| am) not (?:trained|programmed|designed|equipped)\b|\bas an ai\b|\bdoes(?:n't| not) (?:contain|mention|"
    r"provide|specify|include) (?:any |the |this |that |enough )?"
    r"(?:information|detail|answer)"
)
"""A bot's answer that gives none. Read on `plain` text."""


def plain(text: str) -> str:
    """Lower case, straight quotes, single spaces, at most `LONGEST` characters (head and tail of a longer text)."""
    return _plain(text if len(text) <= LONGEST else f"{text[: LONGEST - 1000]} {text[-1000:]}")


@lru_cache(maxsize=8192)
def _plain(text: str) -> str:
    return _SPACES.sub(" ", straight(text).replace("\0", " ")).strip()


def straight(text: str) -> str:
    """Lower case and straight quotes; nothing is cut."""
    for written, meant in _STRAIGHT.items():  # a tenth of the time of str.translate on a long text
        text = text.replace(written, meant)
    return text.lower()


def as_written(part: str, text: str) -> str:
    """A part of the text's plain form as the text itself writes it; the part where it is not found."""
    written = _SPACES.sub(" ", text.replace("\0", " ")).strip()
    at = plain(text).find(part)
    return written[at : at + len(part)] if at >= 0 and straight(written[at : at + len(part)]) == part else part


@lru_cache(maxsize=8192)
def words(plain_text: str) -> tuple[str, ...]:
    """The words of a plain text, in order."""
    return tuple(WORD.findall(plain_text))


@lru_cache(maxsize=8192)
def content_words(plain_text: str) -> frozenset[str]:
    """The words that carry a topic, crudely stemmed so that 'refunds' meets 'refund'."""
    return frozenset(stem(word) for word in words(plain_text) if word not in STOP_WORDS)


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A light suffix stripper: plural, -ing, -ed, possessive. Wrong stems are harmless where both sides get the same."""
    word = word.removesuffix("'s")
    if len(word) > 5 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending, shortest in (("ing", 6), ("ed", 5), ("es", 6), ("s", 4)):
        if len(word) >= shortest and word.endswith(ending) and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    return word.removesuffix("e") if len(word) > 4 else word


@lru_cache(maxsize=8192)
def is_english(plain_text: str) -> bool:
    """False where a text is clearly something else: another script, or several words of which hardly any is common English.

    Fragments of one or two words and ASCII names pass: they are too short to say.
    """
    start = plain_text[:400]
    letters = latin = 1
    if not start.isascii():
        letters = sum(character.isalpha() for character in start)
        latin = sum("a" <= character <= "z" for character in start)
    if letters and latin < 0.7 * letters:
        return False
    found = words(plain_text)[:60]
    if len(found) < 4:
        return latin == letters or not letters
    common = sum(word in _COMMON or word.split("'")[0] in _COMMON for word in found)
    foreign = sum(word in _FOREIGN for word in found)
    return common >= max(1, len(found) // 8) and (foreign < 2 or common > 1.5 * foreign)


def is_small_talk(plain_text: str) -> bool:
    """Greeting, thanks, bare yes or no, or nothing at all."""
    return len(plain_text) <= 120 and (not any(c.isalnum() for c in plain_text) or SMALL_TALK.match(plain_text) is not None)


@lru_cache(maxsize=8192)
def cannot_answer(plain_text: str) -> bool:
    """The bot says that it does not know or does not understand, near the start of its answer."""
    return CANNOT_ANSWER.search(plain_text[:600]) is not None


def quoted(text: str, most: int = 6) -> str:
    """At most a few words of a person's text, for a note."""
    found = text.split(None, most + 1)[: most + 1]
    short = " ".join(word[:24] for word in found[:most])
    return f"“{short}…”" if len(found) > most else f"“{short}”"
