"""Chinese characters that clinical words are made of: which unknown words of a question may pass as everyday ones.

A question asserts nothing by everyday words, but a finding, place, side, degree, number or time in it would be
affirmed by its answer. Characters of those are told by their radicals, which order the CJK block of Unicode (disease,
flesh, bone, blood), and by a list.
"""

import re
from typing import Final

__all__ = ["could_be_clinical", "is_chinese", "is_open_in_chinese"]

_HAN: Final = re.compile(r"[㐀-䶿一-鿿豈-﫿〇]")
_WHAT: Final = re.compile(r"哪|什么|何|怎|多少|几")
_CLOSED: Final = re.compile(r"是否|有无|有没有|是不是|能否|可否|[吗么]\s*[？?]|还是")
_RADICALS: Final = ((0x7592, 0x7675), (0x8089, 0x81E9), (0x9AA8, 0x9AD7), (0x8840, 0x8852))
_LISTED: Final = frozenset(
    "左右双侧单两上下前后内外中旁近远周边底顶端深浅大小多少数几轻重急慢早晚新旧初末高低长短厚薄粗细宽窄增减升降扩缩变化消吸退进展加强弱明显著极甚较更最略稍微全半"
    "恶良阴阳有无未不非没否勿莫疑似像必定准可能须应该会将曾已经正常异年月日天周时刻岁男女老幼儿孕产一二三四五六七八九十百千万亿零〇半"
    "积液水气钙石囊结节块影斑灶点片条网线孔洞裂折断破损伤溃瘘栓塞阻梗狭突脱移位偏斜凸凹畸形死坏炎感染菌毒虫核酶酸碱糖盐胶纤硬软浊胀缺失畸瓣球粒丝絮絮混浑"
    "眼目耳鼻口舌牙齿齿唇咽喉颈头颅面额枕顶手足指趾掌腕踝膝髋肩肘背腰心肝脾肾胃肠胆胰膀胱子宫卵巢乳甲状腺淋巴皮肤毛发指神经脑髓气管支膜囊窦房室隔瓣叶段区野带"
    "透亮暗白黑红黄蓝紫褐灰色光声信密度回强化稀疏致均匀糊清晰整齐滑毛糙圆椭方尖钝角尿便粪痰汗泪奶药术治疗痛热咳喘晕吐泻出入漏渗溢滞留残余复转移侵犯压迫牵拉粘连"
    "针刀钉板架管线夹环瓶支导植假体器"
)


def is_open_in_chinese(question: str) -> bool:
    """True for a question that asks for what there is: it has a word like `哪些`, and none that yes or no answers."""
    return _WHAT.search(question) is not None and _CLOSED.search(question) is None


def is_chinese(word: str) -> bool:
    """True for a word with a Chinese character in it."""
    return _HAN.search(word) is not None


def could_be_clinical(word: str) -> bool:
    """True for an unknown word with a character that words for findings, places, sides, degrees or times may hold."""
    return any(
        character in _LISTED or not _HAN.match(character) or any(a <= ord(character) <= b for a, b in _RADICALS)
        for character in word
    )
