"""How people react to a bad answer: plain English, compiled once.

All patterns read `scoring.wording.plain` text.
"""

import re

_OF_THE_FIRM = (
    r"human|agent|representative|rep|operator|advisor|adviser|specialist|manager|supervisor|member of staff|consultant|employee"
)
_KIND = (
    r"(?: (?:a|an|the|your|any|some|another|one of your))?(?: (?:real|live|actual|human|proper|physical|customer|support|service|"
    r"different|senior|competent))*[ -]"
)
RULES: dict[str, re.Pattern[str]] = {
    "person": re.compile(
        rf"\b(?:talk|speak|chat|connect|transfer|forward|escalate|pass|put)(?: me| us)?(?: (?:to|with|through to|through|on to|"
        rf"over to))?{_KIND}(?:{_OF_THE_FIRM}|person|someone|somebody|staff|colleague|people)\b"
        rf"|\b(?:get|give|want|need|like|reach|contact)(?: me| us)?{_KIND}(?:{_OF_THE_FIRM})\b"
        r"|\b(?:real|live|actual) (?:human|person|agent|people|support)\b|^(?:a |an )?(?:human|agent|operator|"
        r"representative|real person|live agent)(?: please)?\W*$"
        r"|\bhuman (?:please|support|agent|help|being)\b|\bcustomer (?:service|support|care) (?:number|phone|please)\b|"
        r"\b(?:let me|can i|could i|may i|i want to|i'd like to|i need to) (?:speak|talk) "
        r"(?:to|with) (?:your |the |a )?(?:manager|supervisor|boss|someone|somebody|human|person|people|agent)\b|"
        r"\bfile a complaint\b|\bmake a (?:formal )?complaint\b"
    ),
    "no_but": re.compile(
        r"^(?:no|nope|nah)\b[,.!; ]+(?:no\b[,.! ]+)?(?:i (?:mean|meant|said|asked|want(?:ed)?|need(?:ed)?|am asking|"
        r"was asking|did(?:n't| not)|don't|do not|already)|i'm (?:asking|talking|not)|not\b|that|it|this|you|the|my|"
        r"wrong|incorrect|what|how|where|when|still)"
    ),
    "correction": re.compile(
        r"\b(?:that's|that is|that was|this is|it's|thats|you're|you are|your answer is|your information is|the (?:answer|"
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
    "unwanted": re.compile(r"\bi (?:really )?(?:don't|do not|didn't|did not) (?:care|need|want|ask)\b|\bnot interested\b"),
    "mismatch": re.compile(
        r"[,.;] (?:and )?not (?:a |an |the |my |your |in |to |from |for |at |on )?[\w-]+\W*$|^not (?:the|a|an|my|in|to)\b|"
        r"\b(?:does not|doesn't|do not|don't) exist\b|\bthere(?:'s| is| are|'re) no (?:such|link|option|button|page|"
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
        r"\bhow am i supposed\b|\bthen (?:what|who|why|how)\b|\bthat's not\b(?! (?:too |so |that )?(?:bad|a problem|necessary|"
        r"important))|"
        r"^(?:[\w:']+ ){0,3}(?!(?:is|do|does|did|am|are|was|were|have|has|can|could|would|will|or|why|if|maybe|course|better|"
        r"it's|i'm|i|absolutely|probably|prefer|rather) )[\w:']+,? not (?:the |a |an |in )?[\w:]+[.!]*$"
    ),
    "reproach": re.compile(
        r"\byou (?:already|forgot|missed|promised|(?:still )?haven't|should(?:n't| have)|(?:were|are) supposed|never (?:find|"
        r"listen|"
        r"understand|answer|get|do|asked|told|said)|just (?:said|told|asked|suggested|offered|gave|recommended)|only (?:told|"
        r"gave|"
        r"answered)|always (?:say|ask|give|send))\b|\byou're (?:supposed|still|always|just (?:saying|repeating|giving))\b|"
        r"\b(?:didn't|haven't) you (?:\w+ )?(?:just|already|ask|say|listen|read|hear|get|even|suggest|tell)\b|"
        r"\bdid you (?:even|not)\b"
        r"|^(?:(?:yes|yeah|but|of course|and)[, ]+)*i (?:did|have)(?: that| it| this| already| so)*(?:[.,]? (?:several|many|"
        r"\w+) times)?"
        r"\W*$|^(?:(?:yes|yeah|but)[, ]+)*i (?:did|tried)(?: that| it)? (?:and|but|already|twice)\b|\bi(?:'ve| have)? (?:done|"
        r"tried|"
        r"entered|said|told you|given you|explained|did|asked) (?:\w+ ){0,3}?(?:twice|times|enough|again)\b|\bi never (?:told|"
        r"said|"
        r"asked|ordered|got|received|wanted)\b|\bwe (?:already |just )(?:did|talked|had|spoke|tried)\b|\bwe did that\b|"
        r"\bi(?:'m| am) "
        r"asking you\b|\bthat was (?:my question|not)\b|\bwhy (?:can't|don't|didn't|won't) you\b|\bso (?:you can't|"
        r"what can you)\b|"
        r"\bnothing (?:is \w+ing|there|happen\w+|works?)\b|\bi(?:'ve| have) been (?:waiting|holding|trying)\b|\b(?:taking|takes|"
        r"took) (?:forever|ages|so long|too long)\b|\bplease keep up\b|^(?:i don't know,? |well,? )?you tell me\b"
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
        r"that)|never ?mind(?: then)?|whatever|i give up|i'm giving up|drop it|(?:leave|skip) it\W*$)(?:\b|$)|\bi give up\b|"
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
POLITE_NO = re.compile(
    r"^(?:no|nope|nah)[,.! ]*(?:(?:thanks?|thank you|thx|that's (?:all|it|everything|fine|ok|okay|great|perfect|good)|"
    r"that is (?:all|it|everything|fine)|that will be all|that'll be all|that would be all|"
    r"i'm (?:good|fine|ok|okay|all set|done)|i am (?:good|fine|all set)|all good|nothing (?:else|more)|not (?:at the moment|"
    r"right now|now|today|yet|really|at this time)|it's (?:ok|okay|fine)|no need|don't worry|need|i (?:don't|"
    r"do not) (?:need|want|have) (?:any|anything|a|to)|you(?:'ve| have) been)\b.*)?\W*$"
)
CHANGED_WISH = re.compile(
    r"^(?:(?:ok(?:ay)?|oh|hmm+|well|alright|yes|yeah|sure|great|thanks|no|sorry|and|also|so)[,.! ]+)*(?:(?:actually|instead|"
    r"rather|on second thought)\b[,. ]*(?:i(?:'d| would) (?:prefer|like|rather)|can|could|make|let's|change|i want|i think|"
    r"please|how about|what about)|(?:what|how) about\b|(?:and|also|then) (?:what|how|can|is|are|do|does|where|when|for)\b|"
    r"i(?:'d| would) (?:prefer|rather|also|like)\b|"
    r"can (?:you|we|i) (?:also|change|make it|try)\b|let's (?:try|do|go|make|change)\b|is there (?:another|any other|"
    r"anything else|one)\b|do you have (?:another|any other|anything else|something else)\b|try (?:a |another |"
    r"the )?\w+ (?:instead|then)?)"
)
THANKS = re.compile(
    r"\b(?:thanks?|thank you|thx|cheers|appreciate|great|perfect|awesome|excellent|wonderful|brilliant|fantastic|amazing|"
    r"helpful|that helps|helped|got it|good to know|works (?:now|great|fine|perfectly)|worked|solved|love it|sounds (?:good|"
    r"great|perfect|nice)|that's (?:great|perfect|good|fine|all|nice|what i needed|exactly)|that works|cool|nice|"
    r"you're the best|lovely)\b"
)
REJECTS = re.compile(
    r"\b(?:i |we )?(?:really |just )?(?:don't|do not|didn't|did not|never|can't|cannot) (?:really |much |particularly |"
    r"even )?(?:like|"
    r"love|enjoy|care (?:much )?for|stand|feel like)\b|\bnot (?:really |exactly |quite |much |such )?(?:a (?:big |huge |great )?"
    r"fan|(?:in)?to \w+|in the mood|my (?:thing|style|taste|type|kind|favou?rite|cup)|for me|what i(?:'m| am)|that (?:into|"
    r"crazy)|crazy about|interested)|\b(?:wasn't|weren't|isn't) (?:really |too |that |very )?(?:into|crazy|my|for me|good|a fan)"
    r"|\btoo (?:expensive|pricey|early|late|far|long|short|small|big|scary|violent|gory|sad|old|slow|childish|much)\b|"
    r"\bout of my (?:budget|price)|\b(?:hate|hated|dislike|disliked|boring|overrated)\b|\bpricey\b|\bugh\b"
)
"""Turns down what the bot offered."""
ACCEPTS = re.compile(
    r"^(?:(?:ok(?:ay)?|oh|well|alright|great|perfect)[,.! ]+)*(?:yes|yeah|yep|yup|sure|please do|go ahead|absolutely|definitely|"
    r"of course|exactly|correct|that's (?:right|correct|it)|that one|i'll take|let's go with)\b(?!,? (?:but|i know|how|what|when|"
    r"where|that's why|you)\b)|\b(?:that|it|this|which) (?:will|would|should|'ll|sounds?|looks?|seems?) (?:be )?(?:\w+ )?(?:work|"
    r"do|good|great|perfect|fine|nice|interesting|fun|like a)|\bsounds (?:\w+ )?(?:good|great|fine|perfect|nice|interesting|"
    r"fun|lovely|like)\b|\bi(?:'ll| will| would like to|'d like to| want to|'ll have to| will have to| am going to) (?:\w+ )?(?:"
    r"take (?:it|that)|watch|see|check|try|give it|book (?:it|that)|go with|look (?:it|for it|into|that))"
    r"|\b(?:i |we )?(?:also |really |absolutely |just )?(?:love|loved|liked|enjoyed) (?:it|that|this|them|those)\b|\bbook (?:it|"
    r"that|this|them)\b|\bgo ahead\b"
)
"""Takes what the bot offered."""
ASKS_OTHER = re.compile(
    r"\b(?:any(?:thing|where|one|body)?|some(?:thing|where|one)?|what|nothing|no) (?:\w+ )?(?:other|else)\b|\banother (?:one|"
    r"option|movie|film|place|hotel|restaurant|time|suggestion|idea|way)?|\bother (?:suggestion|option|recommendation|movie|"
    r"one|idea|place|time)s?\b|\ba different \w+|\b(?:any|are there|is there) (?:\w+ )?(?:cheaper|earlier|later|closer|bigger|"
    r"smaller|better|sooner|faster|direct|nonstop)|\b(?:anything|something|nothing) (?:\w+ )?(?:cheaper|earlier|later|closer|"
    r"bigger|smaller|better|sooner|similar|like|more|less|happ\w+|scar\w+|fun\w+)"
)
"""Wants another suggestion."""
DOUBTS = re.compile(
    r"\bare you (?:\w+ )?sure\b|\b(?:check|look|try|search|confirm)\b.{0,25}\b(?:again|once more|one more time)\b|"
    r"\bdouble[ -]check|"
    r"\breally\?|\bsays who\b|\bthat (?:can't|cannot|can not) be\b|\bthere (?:must|has to|should) be\b|\bhard to believe\b|"
    r"\b(?:nothing|none|no one|not even) (?:at all|left|whatsoever)|\bwait(?:,| what|\b.*\?)|\bisn't (?:that|it|there|this)\b|"
    r"\bdidn't you\b|\baren't you\b|\bdon't you\b|\bwhy (?:not|is|are|do|does|did|can't|would|should|don't|doesn't|isn't)\b"
)
"""Does not believe it, or asks for another look."""
RESIGNED = re.compile(
    r"\b(?:too bad|bummer|a (?:pity|shame)|that's (?:sad|unfortunate|disappointing|annoying|not good|frustrating)|oh no|oh well|"
    r"i guess|i suppose|if (?:you|that's all you) (?:must|can)|i was (?:hoping|looking|expecting)|disappoint\w+|unfortunately|"
    r"hmm+|argh+|sigh|ugh|geez|jeez|finally)\b"
)
"""Makes do with it."""
INSISTS = re.compile(
    r"\b(?:i|we)(?:'ve| have| just| had| did| already| really| only|'d)* (?:said|told|mentioned|specified|requested|asked for|"
    r"was looking "
    r"for|was hoping|am looking for|wanted|asked)\b|\bi was (?:\w+ )?(?:looking|asking|hoping)\b|\b(?:like|as) i (?:said|told|"
    r"mentioned|"
    r"asked)\b|\b(?:has|needs?) (?:it )?to be\b|\bmust be\b|\bi need it\b|\bi still\b|\bonce (?:more|again)\b|\bagain[,:]|"
    r"^again\b|\balready\b|\bnot until\b"
)
"""Says the wish once more, or that it was said."""
NOT_SOLVED = re.compile(r"^(?:no|nope|nah|not (?:really|at all|yet)|it did(?:n't| not)|it does(?:n't| not)|unfortunately)\b")
"""The reply to `DID_IT_HELP` that says no."""
