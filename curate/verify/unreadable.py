"""Constructions, English and Chinese, whose sense no rule of scope reads surely: a model's text with one is refused.

A true sentence lost costs one wording; a false one published costs the reader's trust.
"""

import functools
import re
from typing import Final

__all__ = ["unreadable"]

_SIDE: Final = r"(?:left|right|left-sided|right-sided)"
_LACK: Final = r"(?:absent|lacking|missing|excluded|unseen|wanting)"
_LISTED: Final = r"(?:listed|named|mentioned|labell?ed|asked|above)"
_DENIED: Final = (
    r"\b(?:no|not|nor|neither|without|none|nothing|never|cannot|absent|negative|free|exclud\w+|unlike|rather than"
    r"|\w+n't)\b"
)
_CONSTRUCTIONS: Final = {
    "a denial of two sides or images at once": rf"\bneither (?:the )?{_SIDE}\b.{{0,20}}\bnor\b|\b(?:on|in) neither\b",
    "an exception from all": (
        r"\b(?:everything|anything|all)\b[^.;,]{0,40}\b(?:except|save|apart from|other than|excepting|excluding)\b"
        r"|\b(?:everything|anything|all) but\b"
    ),
    "negatives that add up": (
        rf"\b(?:none|no one|nothing)\b[^.;]{{0,50}}\b{_LACK}\b|\bnot none\b|\bnot (?:(?!absent){_LACK}|to be missed)\b"
        r"|\bnot (?:true|the case|so|correct|right) that\b[^.;]{0,30}\b(?:no|not|none|nothing|without)\b"
    ),
    "a value that is denied": (
        r"\b(?:is|are|was|were) not (?:(?:grade|stage|class|category|at) )?"
        r"(?:\d|zero\b|one\b|two\b|three\b|four\b|five\b)"
        r"|\b(?:\d+|zero|one|two|three|four|five) (?:is|would be) (?:wrong|incorrect|false|mistaken|not right)\b"
    ),
    "a direction that is turned": (
        rf"\b(?:away |off )?from the {_SIDE}(?= *(?:[.;,]|$| (?:side|to)\b))|\baway from\b"
        rf"|\b{_SIDE} side the {_SIDE}\b"
        r"|\bopposite (?:side|lung|kidney|eye|breast)\b|\bcontralateral\b"
        r"|\bthe other (?:side|lung|kidney|eye|breast|ventricle|"
        r"hip|knee|foot|ear|ovary|lobe|hemisphere)\b"
        r"|(?<![;,.] on )\bthe other hand\b"
    ),
    "a likeness or a substitute": (
        r"\bby means\b(?! of)|\bin (?:place|lieu) of\b|\binstead of\b|\b(?:look|looks|looking) like\b"
        r"|\bmimic\w*\b"
    ),
    "an open end": (
        r"\bamong (?:other|others)\b|\bnot only\b|\bnot just\b"
        r"|(?<!negative for )\ball (?:of )?(?:the |these |those )?"
        rf"{_LISTED} (?:findings|abnormalities|labels|conditions)\b"
        rf"(?![^.;]{{0,40}}\b(?:absent|negative|not|excluded)\b)"
    ),
    "an addition without a name": (
        r"\belsewhere\b"
        rf"|(?:^|[.;])(?:(?!{_DENIED})[^.;])*(?:\b(?:and|with|plus|besides|as well as|along with)|,)"
        r"(?: (?:some|several|certain|various|many|a few))? (?:others\b|other (?!than\b|side\b|hand\b))"
        rf"(?![^.;]{{0,60}}{_DENIED})"
        r"|(?:^|[.;,:]\s*|\band )(?:all )?(?:the )?(?:others?|remaining|rest)\b[^.;,]{0,40}"
        r"\b(?:is|are) (?:all |both |also )?(?:present|seen|visible|positive|evident|there)\b"
        r"|\bout of (?:place|position|line)\b|\b(?:wrong|right|correct) (?:place|position)\b"
        r"|\bat least on\b|\bremains?(?= *(?:[.;,]|$))"
    ),
    "a beginning or an end in time": (
        r"\b(?:just|about to|only) (?:begin\w*|start\w*)\b"
        r"|\bat first\b|\byet(?= *(?:[.;,]|$))"
    ),
}

_CLAUSE: Final = "[^。；，,;]"
_CHINESE: Final = {
    "an exception from all": (
        r"除[^。；]{1,40}外[，,]?[^。；未无不没]{0,12}(?:均|都|皆|全部)(?![未无不没])"
        r"|以外(?:的|存在|有|可见|见|均|都|皆)(?![未无不没])|以外(?=[。；]|$)"
    ),
    "negatives that add up": r"(?:并非|不是|并不是)(?:均|都|皆|全)?(?:未|无|没)[^。；]{0,4}见|无可疑|不可疑",
    "a value that is denied or bounded": (
        r"(?:不是|并非|不为|不等于)(?:第)?[\d一二三四五六七八九十ⅠⅡⅢⅣⅤ]"
        r"|(?:[\d一二三四五六七八九十]|[ⅠⅡⅢⅣⅤ])(?:级|期|度|类|分|处|个|枚|%|％)?(?:及)?(?:以上|以下|以内|之上|之下)"
    ),
    "a direction that is turned": r"(?:自|从|由)(?:左|右)侧?(?:移|偏|推)|对侧|另一侧",
    "an open end": (
        rf"(?:^|[。；，,;])(?:(?![未无没]|不见|阴性){_CLAUSE})*等(?:异常|病变|征象|改变|表现|情况)|不仅|不只|不止|不光"
    ),
    "an addition without a name": (
        rf"(?:^|[。；，,;])(?:(?![未无没]|不见){_CLAUSE})*(?:及|和|与|以及)其[他它余](?!.{{0,12}}(?:未|无|没))"
        rf"|以{_CLAUSE}{{1,8}}为主"
    ),
    "a beginning or an end in time": r"均已(?:排|切|取|消)|已(?:过|排出|切除|取出)",
}
_ENGLISH_PATTERNS: Final = tuple((name, re.compile(text, re.IGNORECASE)) for name, text in _CONSTRUCTIONS.items())
_CHINESE_PATTERNS: Final = tuple((name, re.compile(text)) for name, text in _CHINESE.items())


@functools.lru_cache(maxsize=16384)
def unreadable(text: str, *, chinese: bool = False) -> str | None:
    """What kind of construction of this sort a text holds; None for none."""
    patterns = _CHINESE_PATTERNS if chinese else _ENGLISH_PATTERNS
    return next((name for name, pattern in patterns if pattern.search(text)), None)
