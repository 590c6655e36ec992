"""What bots write instead of a good answer, and what a reply takes up of it: plain English, compiled once.

All patterns read `scoring.wording.plain` text.
"""

import re
from functools import lru_cache

from scoring.wording import content_words, stem, word_set

DID_IT_HELP = re.compile(
    r"\b(?:did|does|has|was|is) (?:this|that|it|my answer|the answer|i|everything)\b[^?]{0,40}\b(?:help|helped|helpful|solve|"
    r"solved|"
    r"answer|answered|resolve|resolved|fix|fixed|work|working|what you (?:were|are|need|want)\w*)\b[^?]{0,40}\?"
)
"""The bot asks whether it helped."""
NOTHING_FOUND = re.compile(
    r"\b(?:there (?:is|are|was|were|'s)|i (?:have|had|see|show|found|find|got)|we (?:have|had)|it (?:has|have)|they (?:have|had)|"
    r"i'm (?:seeing|showing|finding)|shows?|had|found|sorry,?|unfortunately,?) (?:absolutely |currently |unfortunately |"
    r"sorry )?(?:no\b(?! (?:problem|worries|entrance|fee|charge|cost))|none|nothing|not (?:any|a|one)\b|n't any)"
    r"|\b(?:isn't|aren't|is not|are not|wasn't|weren't|don't|do not|doesn't|does not|didn't|did not|couldn't|could not|can't|"
    r"cannot|can not|unable to|not able to|wasn't able to|not) (?:\w+ ){0,2}?(?:any\b|available|find|found|have (?:any|that|"
    r"the|a|information|access)|see any|show any|seeing any|showing any|a single|locate|book|reserve|complete|match|valid|"
    r"possible|offer|seem to|access|do that|help (?:you )?with|reach|process|exist)"
    r"|\b(?:booking|reservation|transfer|payment|order|request|search) (?:was |is |has |has been |have |could |were )?(?:not|n't|"
    r"un\w+|fail\w*|declin\w+)|\bno (?:results?|matches|rooms?|tables?|trains?|hotels?|restaurants?|availability|luck|such|"
    r"slots?|seats?|info\w*|forecast|tickets?|cars?)\b|\b(?:sold out|fully booked|out of stock|on loan|not in stock|booked up|"
    r"no longer available|unavailable|unsuccessful|failed)\b|\btry (?:another|a different|again)\b"
)
"""The bot found or did nothing."""
OPINION = re.compile(
    r"\b(?:do|did|would|does|have) (?:you|they|your \w+) (?:\w+ )?(?:like|enjoy|prefer|love|hate|dislike|feel|think)\b|"
    r"\bhow do you "
    r"feel|\bwhat (?:do|did|about|was|is|were) (?:\w+ ){0,6}?(?:like|liked|dislike|disliked|not like|hate|think|favou?rite|wrong|"
    r"happened|problem|matter)|\b(?:kind|type|sort|genre)s? of\b|\bfavou?rite|^why\b|\bmay i ask why|\btell me (?:what|more|"
    r"about)|\bcan you (?:say|tell me|describe)|\bwhat happened"
)
"""The bot asks what the user thinks or went through: a negative word in the reply may be the answer."""

_QUESTION = re.compile(r"[^.?!]*\?")
_ECHO = re.compile(r"^([\w'-]{1,30}(?: [\w'-]{1,30}){0,2})\?")
_DAYS = (
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|\b(?:today|tonight|tomorrow|weekend)\b|\b(?:jan|febr)uary\b|\bmarch\b|"
    r"\bapril\b|\b(?:june|july|august)\b|\b(?:septem|octo|novem|decem)ber\b|\b\d{1,2}(?:st|nd|rd|th)\b"
)
_COUNT = r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten)"
_ASKED_FOR: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(asked), re.compile(given))
    for asked, given in (
        (r"\b(?:what|which) (?:day|date)|\bon what day|\bwhen (?:would|will|do|are|is|should)\b|\bday would you", _DAYS),
        (
            r"\bwhat time|\bwhich time|\btime (?:would|do|will|are)|\bdeparture time|\barrival time|\bwhen would you",
            r"\b\d{1,2}[:.]\d\d\b|\b\d{1,2} ?(?:am|pm|o'clock)\b|\bnoon\b|\bmidnight\b",
        ),
        (
            r"\bhow many (?:people|guests|tickets|persons|passengers|travell?ers|seats|adults|of you)|\bparty size|"
            r"\bnumber of (?:people|guests|tickets)|\bfor how many\b(?! (?:nights|days))",
            rf"\b{_COUNT} (?:\w+ )?(?:people|persons?|guests?|adults?|of us|tickets?|seats?|travell?ers|passengers)\b|"
            rf"\bjust me\b|\b(?:party|group|table|room) (?:of|for) {_COUNT}\b|\bfor {_COUNT}\b(?! (?:nights?|days?|am|pm))",
        ),
        (
            r"\bhow many (?:nights|days)|\bhow long (?:will|would|do|are) you|\blength of (?:your )?stay",
            rf"\b{_COUNT} (?:nights?|days?)\b",
        ),
        (
            r"\b(?:what|which) (?:area|part|side|city|location|town)|\bany (?:particular |preferred )?(?:area|part)|\barea (?:do|"
            r"would|of town)|\bwhere (?:in|abouts)",
            r"\b(?:cent(?:re|er)|downtown|north|south|east|west|central|near)\b",
        ),
        (
            r"\bprice range|\bbudget|\bhow (?:expensive|much would you)|\bcheap,? (?:or )?moderate|\b(?:cheap|moderate) or\b",
            r"\b(?:cheap\w*|moderate\w*|expensive|inexpensive|budget|fancy|upscale)\b|\bunder \$?\d",
        ),
        (
            r"\bwhere (?:are|will|would) you (?:be )?(?:leaving|departing|travell?ing from|coming|flying from)|\bwhere from|"
            r"\bfrom "
            r"where|\bdepart(?:ure|ing) (?:city|station|site|from)|\bwhere would you like to be picked|\bpick[- ]?up (?:place|"
            r"location|point)",
            r"\bfrom (?!(?:mon|tues|wednes|thurs|fri|satur|sun)day|\d)[a-z]{3,}|\b(?:leav|depart)ing [a-z]{4,}",
        ),
        (
            r"\bwhere (?:are|would|will|do) you (?:like to |want to |be )?(?:travell?ing|go|going|headed|heading|flying|arriv\w+)"
            r"(?: to)?\b(?! from)|\bdestination|\bwhere to\b",
            r"\b(?:train|flight|bus|tickets?|cab|taxi|going|travell?ing|travel|fly|flying|trip|headed|from \w+)(?: \w+)? to "
            r"(?!(?:go|get|be|leave|arrive|book|find|travel)\b)[a-z]{3,}",
        ),
        (
            r"\b(?:kind|type|sort) of (?:food|cuisine)|\bcuisine|\bfood (?:type|preference)",
            r"\b(?:indian|chinese|italian|thai|mexican|french|british|korean|japanese|turkish|greek|spanish|african|asian|"
            r"vietnamese|mediterranean|european|american|seafood|steak\w*|vegetarian|vegan|pizza|sushi|burgers?|gastropub|"
            r"portuguese|lebanese)\b",
        ),
        (
            r"\b(?:kind|type|sort|genre)s? of (?:\w+ )?(?:movies?|films?)|\b(?:what|which) genre|\bgenres? (?:do|would)",
            r"\b(?:horror|comed\w+|thrillers?|drama\w*|action|romantic|romance|sci-?fi|science fiction|animat\w+|fantasy|crime|"
            r"westerns?|musicals?|documentar\w+|superhero\w*|scary|suspense|myster\w+)\b",
        ),
        (
            r"\b(?:order|booking|confirmation|policy|customer|account|reference|ticket) (?:number|id|code)\b",
            r"\b[\w-]*\d[\w-]{3,}\b",
        ),
    )
)  # fmt: skip
_WANTED: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(asked), re.compile(given))
    for asked, given in (
        (r"\b(?:phone|telephone|contact) (?:number|no)\b|\btheir (?:phone|number)\b|\bnumber to call\b", r"\d{3}"),
        (r"\b(?:post ?codes?|zip ?codes?)\b", r"\d"),
        (r"\baddress\b", r"\d|\b(?:street|road|lane|avenue|square|way|st|rd)\b|@"),
        (
            r"\bhow (?:much|expensive)\b|\b(?:price|cost|fare|fees?)\b(?! range)",
            r"\d|\b(?:free|cheap\w*|moderate\w*|expensive|included|no (?:entrance|fee|charge|cost))\b",
        ),
        (r"\b(?:reference|confirmation|booking) (?:number|no|code)\b|\btrain id\b", r"\b(?=\w*\d)\w{4,}\b"),
        (
            r"\bwhat time\b|\bwhen (?:do|does|is|will|are|did|can)\b|\bhow long\b|\b(?:departure|arrival|travel) time\b|"
            r"\bhow many\b",
            r"\d|\b(?:noon|midnight|daily|hours?|days?|weeks?|months?|years?|minutes?|today|tomorrow|always|never|soon|now|one|"
            r"two|three|"
            r"four|five|\w+days?)\b",
        ),
        (
            r"\b(?:please|can you|could you|go ahead and|like to|want to|need to|you to) (?:also |please )?(?:book|reserve|"
            r"cancel)\b|"
            r"\b(?:make|get) (?:me )?a (?:booking|reservation)\b",
            r"\b(?:book|reserv|cancel|confirm|success|arrang|all set|done|order|schedul)",
        ),
    )
)  # fmt: skip
_GENERIC = frozenset(
    stem(word)
    for word in word_set(
        "said told asked asking already again look looking find need wanted want would like love think believe mean meant give "
        "gave check try tried time number thing something anything nothing everything question answer one two right wrong yes "
        "really actually help sure fine good great nice perfect sorry bye goodbye day"
    )
)


def asks_what_was_given(answer: str, said: str) -> bool:
    """The bot asks for a day, place, number or the like, and the user had named one. Both plain; `said`: all the user's turns."""
    asked = " ".join(_QUESTION.findall(answer[:1500])) if "?" in answer else ""
    return bool(asked) and any(ask.search(asked) and given.search(said) for ask, given in _ASKED_FOR)


def leaves_open(question: str, answer: str) -> bool:
    """The user wanted a number, price, time, address or booking, and the answer neither has such a thing nor asks back."""
    return "?" not in answer and any(want.search(question) and not given.search(answer) for want, given in _WANTED)


def echoes(text: str, answer_words: frozenset[str]) -> bool:
    """The reply begins by throwing words of the answer back as a question: "March?!"."""
    start = _ECHO.match(text[:100])
    thrown = content_words(start[1]) if start else frozenset()
    return bool(thrown) and len(thrown & answer_words) >= 0.5 * len(thrown)


@lru_cache(maxsize=8192)
def last_question(answer: str) -> frozenset[str]:
    """Topic words of the bot's last question, empty where it asks none."""
    asked = _QUESTION.findall(answer[-1500:]) if "?" in answer else ()
    return topic(asked[-1].strip()) if asked else frozenset()


@lru_cache(maxsize=8192)
def topic(text: str) -> frozenset[str]:
    """Content words that say what a turn is about, without those that any request has."""
    return content_words(text) - _GENERIC
