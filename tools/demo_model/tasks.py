"""Synthetic phone tasks: a task in words, the screen as text, and the right next action.

Everything is drawn from one seeded generator, so the same (split, seed) always gives the same
samples. A sample is a conversation of one to three steps, as the Open-AutoGLM client makes them.

Screen format (the only thing the model knows about a phone):

    {"current_app": "Settings"}      first line, may be missing
    page: Network                    the title of the open page, may be missing
    loading                          only while the screen is still loading
    Wi-Fi [500,210] off              one line per element: label, [x,y] in 0..999, then its state if any
    Search box [480,90] input        states: on, off, input, focused, "typed text", sent

Splits:
    train        what the model is trained on
    combination  known words and phrasings, but (app, control) pairs and coordinates never trained on
    template     phrasings of the task never trained on
    label        labels, names and texts made of words never trained on
"""

import argparse
import hashlib
import json
import random
from dataclasses import dataclass, field

import words as w

SPLITS = ("train", "combination", "template", "label")

SYSTEM_PROMPTS = {
    "en": "You are a phone agent. Read the task and the screen, then answer with the next action.",
    "zh": "你是手机助手。根据任务和屏幕内容，给出下一步操作。",
}
OTHER_SYSTEM_PROMPTS = {
    "en": ["You are a helpful assistant.", "You are a phone assistant.", "Answer with one action."],
    "zh": ["你是一个有用的助手。", "你是手机智能体。", "请给出一个操作。"],
}

# Ways to wrap a verb phrase {p}; {P} is the same with a capital.
PLAIN = {
    "en": (["{p}", "{P}", "{P}.", "Please {p}", "Please {p}.", "Can you {p}?", "I want to {p}", "Help me {p}", "I need to {p}.",
            "Let's {p}", "Time to {p}", "We need to {p}", "Would you {p}?", "Try to {p}", "I want you to {p}", "Task: {p}", "How do I {p}?"],
           ["I'd like to {p}", "Could you please {p}?"]),
    "zh": (["{p}", "{p}", "{p}。", "请{p}", "帮我{p}", "我想{p}", "我要{p}", "麻烦你{p}",
            "给我{p}", "快{p}", "请你{p}", "任务：{p}", "我需要{p}", "可以{p}吗", "帮忙{p}", "接下来{p}", "试着{p}", "要{p}"],
           ["能不能帮我{p}？", "现在{p}"]),
}
IN_APP = {
    "en": (["In {app}, {p}", "In {app}, {p}.", "{P} in {app}", "Open {app} and {p}", "Use {app} to {p}", "Please open {app} and {p}",
            "{app}: {p}", "On {app}, {p}", "{P} using {app}", "Start {app}, then {p}", "I want to {p} in {app}"],
           ["Go to {app} and {p}", "With {app}, {p}"]),
    "zh": (["在{app}里{p}", "打开{app}，{p}", "打开{app}{p}", "用{app}{p}", "去{app}{p}", "在{app}{p}", "帮我在{app}里{p}",
            "{app}：{p}", "使用{app}{p}", "进入{app}，{p}", "在{app}上{p}", "先打开{app}，再{p}"],
           ["到{app}里面{p}", "进{app}{p}"]),
}
OPEN_APP = {
    "en": (["Open {app}", "Open {app}.", "open {app}", "Launch {app}", "Start {app}", "Open the {app} app", "Please open {app}",
            "Open the {app} app.", "Go to the {app} app", "Can you open {app}?", "I want to use {app}",
            "Take me to {app}", "Use {app}", "Show {app}", "Go to {app}", "{app}", "Start the {app} app", "Let me see {app}", "I need {app}"],
           ["Switch to {app}", "Run the {app} app"]),
    "zh": (["打开{app}", "打开{app}。", "启动{app}", "打开{app}应用", "打开{app}APP", "请打开{app}", "帮我打开{app}", "我要用{app}",
            "进入{app}", "去{app}", "{app}", "使用{app}", "开{app}", "帮我启动{app}", "进{app}", "我想看{app}", "请启动{app}"],
           ["切换到{app}", "把{app}打开"]),
}
TAP_LABEL = {
    "en": (["tap {l}", "click {l}", "open {l}", "press {l}", "tap the {l} button", "click on {l}", "go to {l}", "select {l}",
            'tap "{l}"', "open the {l} page", "tap on {l}",
            "hit {l}", "view {l}", "show {l}", "check {l}", "take me to {l}", "see {l}", "use {l}", "push {l}", "{l}", "tap {l} on the screen"], ["touch {l}", "choose {l}"]),
    "zh": (["点击{l}", "点{l}", "打开{l}", "进入{l}", "选择{l}", "按{l}", "点一下{l}", "点击“{l}”", "点击{l}按钮", "打开{l}页面",
            "看{l}", "查看{l}", "去{l}", "按下{l}", "进到{l}", "轻点{l}", "{l}", "用{l}", "戳{l}", "显示{l}"],
           ["点开{l}", "找到{l}"]),
}
TURN = {
    ("en", "on"): (["turn on {l}", "switch on {l}", "enable {l}", "turn {l} on", "set {l} to on", "start {l}", "put {l} on", "have {l} on"], ["activate {l}"]),
    ("en", "off"): (["turn off {l}", "switch off {l}", "disable {l}", "turn {l} off", "set {l} to off", "stop {l}", "put {l} off", "have {l} off"], ["deactivate {l}"]),
    ("zh", "on"): (["打开{l}", "开启{l}", "把{l}打开", "启用{l}", "开{l}", "让{l}开启", "{l}开启", "将{l}打开"], ["开一下{l}"]),
    ("zh", "off"): (["关闭{l}", "关掉{l}", "把{l}关掉", "禁用{l}", "关{l}", "停用{l}", "让{l}关闭", "{l}关闭", "将{l}关闭"], ["关一下{l}"]),
}
SEARCH = {
    "en": (["search for {t}", 'search for "{t}"', "look up {t}", "search {t}", "find {t}"], ["do a search for {t}"]),
    "zh": (["搜索{t}", "搜索“{t}”", "搜一下{t}", "查一下{t}", "搜{t}"], ["查找{t}"]),
}
SEND = {
    "en": (['send "{t}" to {n}', "tell {n} {t}", 'send {n} the message "{t}"', "send {n} a message: {t}", "message {n}: {t}"],
           ['write "{t}" to {n}']),
    "zh": (["给{n}发消息说{t}", "给{n}发“{t}”", "告诉{n}{t}", "发消息给{n}：{t}", "给{n}发送{t}"], ["对{n}说{t}"]),
}
TYPE = {
    "en": (["type {t}", 'type "{t}"', "enter {t}", "input {t}", 'write "{t}"'], ["fill in {t}"]),
    "zh": (["输入{t}", "输入“{t}”", "填写{t}", "写上{t}"], ["打字{t}"]),
}

# Chatter around a task, which must not change the answer: what comes before it and after it.
CHATTER = {"en": (["Hey, ", "OK, ", "Hi, ", "Well, ", "Quick: ", "Hello! ", "So, ", "Next: "],
                  [" right now", " for me", ", please", ", thanks", " quickly", " and be quick", " again"]),
           "zh": (["嗨，", "那个，", "你好，", "好，", "对了，", "然后", "另外，"], ["吧", "，谢谢", "，快点", "，好吗", "一下", "，拜托"])}

# Commands that need no element: (action, English phrasings, Chinese phrasings).
COMMANDS = [
    ("back", (["Go back", "go back", "Back", "Return to the previous page", "Go back one page", "Go to the last page"], ["Take me back"]),
     (["返回", "返回上一页", "后退", "回到上一页", "退回去"], ["回上一个页面"])),
    ("home", (["Go home", "Go to the home screen", "Return to the home screen", "Home", "Go to the launcher", "press home"], ["Show me the home screen"]),
     (["回到桌面", "返回桌面", "回主屏幕", "去桌面", "按主页键"], ["回到主屏幕"])),
    ("down", (["Scroll down", "scroll down", "Show me more", "Swipe up to see more", "Scroll down the page", "See what is below"], ["Scroll further down"]),
     (["向下滚动", "往下翻", "往下滑", "看下面的内容", "下滑页面"], ["继续往下翻"])),
    ("up", (["Scroll up", "scroll up", "Scroll back to the top", "Scroll up the page", "See what is above"], ["Scroll further up"]),
     (["向上滚动", "往上翻", "往上滑", "看上面的内容", "上滑页面"], ["继续往上翻"])),
    ("wait", (["Wait", "Wait a moment", "wait a bit", "Please wait", "Wait for a few seconds"], ["Hold on a second"]),
     (["等一下", "等待", "稍等", "等几秒", "请等一会儿"], ["等等"])),
]
LONG_PRESS = {"en": (["long press {l}", "press and hold {l}"], ["hold {l}"]), "zh": (["长按{l}", "按住{l}"], ["长按一下{l}"])}
DOUBLE_TAP = {"en": (["double tap {l}", "double click {l}"], ["tap {l} twice"]), "zh": (["双击{l}", "连点两下{l}"], ["双击一下{l}"])}

SEARCH_FIELDS = {"en": ["Search box", "Search", "Search bar"], "zh": ["搜索框", "搜索", "搜索栏"]}
SEARCH_BUTTONS = {"en": ["Go", "Search now", "Enter"], "zh": ["前往", "开始搜索", "回车"]}
RESULT_PAGES = {"en": "Results", "zh": "搜索结果"}
MESSAGE_FIELDS = {"en": ["Message", "Type a message"], "zh": ["输入消息", "消息"]}
SEND_BUTTONS = {"en": ["Send"], "zh": ["发送"]}
OTHER_FIELDS = {"en": ["Title", "Name", "Text", "Subject", "Search"], "zh": ["标题", "姓名", "正文", "主题", "搜索"]}

# Thoughts and messages. Each thought first says what is looked for and then what the screen
# shows of it, because a small model decides better after it has written the evidence down.
SAY = {
    "en": {
        "need": "Need {app}, now in {cur}. ", "need_only": "Need {app}. ", "launch": "Launch it.", "open_app": "It is open.",
        "loading": "The screen is loading. Wait.", "reached": "{l} is open. Done.", "look": "Look for {l}. ",
        "at": "It is at {xy}. Tap it.", "at_state": "It is at {xy}, {s}. ", "tap": "Tap it.", "missing": "It is not here. Scroll down.",
        "done": "Done.", "want": "Want {s}. ", "type": "Type {t}.", "filled": 'It is at {xy}, "{t}". ', "long": "It is at {xy}. Long press it.",
        "double": "It is at {xy}. Double tap it.", "sent": "The message is sent. Done.", "results": "The results are open. Done.",
        "typed": "The text is there. Done.", "back": "Go back.", "home": "Go to the home screen.", "down": "Scroll down.",
        "up": "Scroll up.", "wait": "Wait.", "m_open": "{l} is open.", "m_on": "{l} is on.", "m_off": "{l} is off.",
        "m_sent": "The message was sent to {n}.", "m_results": "Here are the results for {t}.", "m_typed": "I typed {t}.", "m_done": "Done.",
        "greeting": "The user says hello.", "identity": "The user asks about me.", "thanks": "The user is friendly.",
        "off_topic": "This is not a phone task.", "no_screen": "There is no screen.",
        "m_greeting": "Hello! Give me a phone task and the screen as text, and I will answer with the next action.",
        "m_identity": "I am a small demo model. I read a phone task and the screen as text and answer with the next action.",
        "m_thanks": "You are welcome! Give me another phone task any time.",
        "m_off_topic": "Sorry, I can only help with phone tasks, such as tapping, typing, scrolling and opening apps.",
        "m_no_screen": "Please send me the screen as text, one line per element, for example: Search [120,80]",
    },
    "zh": {
        "need": "需要{app}，现在在{cur}。", "need_only": "需要{app}。", "launch": "启动它。", "open_app": "已经打开。",
        "loading": "屏幕正在加载，等待。", "reached": "{l}已经打开，完成。", "look": "要找{l}，",
        "at": "它在 {xy}，点击它。", "at_state": "它在 {xy}，{s}，", "tap": "点击它。", "missing": "屏幕上没有，向下滚动。",
        "done": "完成。", "want": "要 {s}。", "type": "输入{t}。", "filled": "它在 {xy}，\"{t}\"，", "long": "它在 {xy}，长按它。",
        "double": "它在 {xy}，双击它。", "sent": "消息已发送，完成。", "results": "搜索结果已打开，完成。",
        "typed": "文字已输入，完成。", "back": "返回。", "home": "回到桌面。", "down": "向下滚动。",
        "up": "向上滚动。", "wait": "等待。", "m_open": "{l}已打开。", "m_on": "{l}已开启。", "m_off": "{l}已关闭。",
        "m_sent": "消息已发送给{n}。", "m_results": "这是{t}的搜索结果。", "m_typed": "已输入{t}。", "m_done": "已完成。",
        "greeting": "用户在问好。", "identity": "用户在问我是谁。", "thanks": "用户很友好。",
        "off_topic": "这不是手机任务。", "no_screen": "没有屏幕内容。",
        "m_greeting": "你好！请告诉我手机任务和屏幕文字，我会给出下一步操作。",
        "m_identity": "我是一个小型演示模型，根据手机任务和屏幕文字给出下一步操作。",
        "m_thanks": "不客气！有手机任务随时告诉我。",
        "m_off_topic": "抱歉，我只能帮助完成手机操作，例如点击、输入、滚动和打开应用。",
        "m_no_screen": "请把屏幕内容发给我，每行一个元素，例如：搜索 [120,80]",
    },
}

SWIPE_DOWN = 'do(action="Swipe", start=[500,800], end=[500,200])'
SWIPE_UP = 'do(action="Swipe", start=[500,200], end=[500,800])'
WAIT = 'do(action="Wait", duration="3 seconds")'
COMMAND_ACTIONS = {"back": 'do(action="Back")', "home": 'do(action="Home")', "down": SWIPE_DOWN, "up": SWIPE_UP, "wait": WAIT}


@dataclass
class Element:
    """One line of the screen."""
    label: str
    xy: str
    state: str = ""

    def line(self):
        return f"{self.label} {self.xy} {self.state}".rstrip()


@dataclass
class Screen:
    """What the phone shows. app and page are None where the client does not tell them."""
    app: str | None = None
    page: str | None = None
    elements: list = field(default_factory=list)
    loading: bool = False

    def text(self):
        lines = []
        if self.app is not None:
            lines.append(json.dumps({"current_app": self.app}, ensure_ascii=False))
        if self.page is not None:
            lines.append(f"page: {self.page}")
        if self.loading:
            lines.append("loading")
        return "\n".join(lines + [e.line() for e in self.elements])


@dataclass
class Step:
    screen: Screen
    thought: str
    action: str

    def answer(self):
        return f"<think>{self.thought}</think><answer>{self.action}"


@dataclass
class Sample:
    """A conversation: turns is a list of (user text, assistant answer without the closing tag)."""
    lang: str
    kind: str
    system: str | None
    turns: list

    def messages(self):
        """The messages before the last answer, as a client sends them."""
        out = [] if self.system is None else [{"role": "system", "content": self.system}]
        for i, (user, answer) in enumerate(self.turns):
            out.append({"role": "user", "content": user})
            if i + 1 < len(self.turns):
                out.append({"role": "assistant", "content": answer + "</answer>"})
        return out

    def text(self):
        """The whole conversation as the chat template renders it, including the last answer."""
        out = "[gMASK]<sop>"
        if self.system is not None:
            out += "<|system|>\n" + self.system
        for user, answer in self.turns:
            out += f"<|user|>\n{user}<|assistant|>\n{answer}</answer>"
        return out


def action_name(action):
    """Tap, Type, Swipe, ... or finish."""
    return "finish" if action.startswith("finish") else action.split('"')[1]


def is_reserved_pair(app, label):
    """True for the (app, control) pairs kept out of training: about one in eight."""
    return hashlib.blake2b(f"{app}|{label}".encode()).digest()[0] % 8 == 0


def is_reserved_point(x, y):
    """True for the coordinates kept out of training: about one in eight."""
    return (7 * x + 13 * y) % 8 == 0


class Generator:
    """Draws samples of one split. size is the largest number of distractor elements on a screen."""

    KINDS = (("concept", 22), ("label", 17), ("toggle", 10), ("open_app", 8), ("search", 12), ("send", 10),
             ("type", 4), ("press", 4), ("command", 6), ("talk", 9))

    def __init__(self, split="train", seed=0, size=7):
        assert split in SPLITS
        self.split, self.size = split, size
        self.rng = random.Random(f"{split}/{seed}")
        self.new_layout()

    # ---- small draws -------------------------------------------------------------------

    def chance(self, p):
        return self.rng.random() < p

    def phrase(self, pair):
        """A phrasing from a (trained, held out) pair of lists."""
        return self.rng.choice(pair[1 if self.split == "template" else 0])

    def new_layout(self):
        """Draws how the next screen is laid out: freely, in columns (equal x) or in rows (equal y).
        Equal coordinates matter: they keep the model from finding y by looking for x alone."""
        grid = 10 if self.chance(0.4) else 1
        axis = list(range(0, 1000, grid))
        self.xs, self.ys, self.used = axis, axis, set()
        roll = self.rng.random()
        if roll < 0.35:
            self.xs = self.rng.sample(axis, self.rng.choice((1, 1, 2, 3)))
        elif roll < 0.45:
            self.ys = self.rng.sample(axis, self.rng.choice((1, 2)))

    def point(self):
        """Coordinates as text; those of the reserved pattern only for the combination split."""
        for _ in range(200):
            x, y = self.rng.choice(self.xs), self.rng.choice(self.ys)
            if is_reserved_point(x, y) == (self.split == "combination") and (x, y) not in self.used:
                break
        self.used.add((x, y))
        return f"[{x},{y}]"

    def number(self):
        return str(self.rng.randrange(1, self.rng.choice((10, 100, 1000))))

    def made_up_word(self):
        """A nonsense word, so that copying must work piece by piece too: the halves of two
        words, or a row of syllables."""
        if self.chance(0.5):
            head, tail = self.rng.choice(w.EN_NOUNS), self.rng.choice(w.EN_NOUNS)
            return head[:self.rng.randint(1, 4)] + tail[-self.rng.randint(2, 4):]
        syllables = [self.rng.choice("bcdfghjklmnpqrstvwxyz") + self.rng.choice("aeiou") for _ in range(self.rng.randint(2, 3))]
        return "".join(syllables) + self.rng.choice(["", "n", "r", "x", "s", "th", "ck", "ll", "ng"])

    def noun_phrase(self, lang):
        """One to three content words; held-out words only in the label split."""
        held = self.split == "label"
        if lang == "en":
            noun = self.rng.choice(w.EN_NOUNS_HELD_OUT if held else w.EN_NOUNS)
            roll = self.rng.random()
            if not held and roll < 0.28:
                return self.made_up_word()
            if roll < 0.5:
                return f"{self.rng.choice(w.EN_ADJECTIVES)} {noun}"
            if roll < 0.75:
                return f"{noun} {self.rng.choice(w.EN_NOUNS)}"
            return f"{noun} {self.number()}" if roll < 0.85 else noun
        noun = self.rng.choice(w.ZH_NOUNS_HELD_OUT if held else w.ZH_NOUNS)
        roll = self.rng.random()
        if not held and roll < 0.25:
            return "".join(self.rng.choice(w.ZH_CHARS) for _ in range(self.rng.randint(2, 4)))
        if not held and roll < 0.34:
            return "".join(chr(self.rng.randrange(0x4E00, 0x9F00)) for _ in range(self.rng.randint(1, 3)))
        if roll < 0.55:
            return self.rng.choice(w.ZH_ADJECTIVES) + noun
        if roll < 0.75:
            return noun + self.rng.choice(w.ZH_NOUNS)
        return noun + self.number() if roll < 0.85 else noun

    def open_label(self, lang):
        text = self.noun_phrase(lang)
        return text[0].upper() + text[1:]

    def person(self, lang):
        held = self.split == "label"
        if lang == "en":
            return self.rng.choice(w.EN_NAMES_HELD_OUT if held else w.EN_NAMES)
        if not held and self.chance(0.25):
            return self.rng.choice(w.ZH_NAMES)
        given = "".join(self.rng.choice(w.ZH_GIVEN) for _ in range(self.rng.randint(1, 2)))
        return self.rng.choice(w.ZH_SURNAMES_HELD_OUT if held else w.ZH_SURNAMES) + given

    def message_text(self, lang):
        if self.chance(0.5):
            return self.noun_phrase(lang)
        known, held = (w.EN_TEXTS, w.EN_TEXTS_HELD_OUT) if lang == "en" else (w.ZH_TEXTS, w.ZH_TEXTS_HELD_OUT)
        return self.rng.choice(held if self.split == "label" else known)

    def app(self, lang):
        return self.rng.choice(w.APPS)[0 if lang == "en" else 1]

    def other_app(self, lang, app):
        """The name of some other app, often the launcher."""
        if self.chance(0.4):
            return self.rng.choice(w.HOME_NAMES[lang])
        while (other := self.app(lang)) == app:
            pass
        return other

    # ---- screens -----------------------------------------------------------------------

    def any_label(self, lang):
        roll = self.rng.random()
        if roll < 0.5:
            return self.rng.choice(self.rng.choice(w.CONCEPTS)[0 if lang == "en" else 1])
        if roll < 0.62:
            return self.rng.choice(w.TOGGLES)[0 if lang == "en" else 1]
        return self.person(lang) if roll < 0.7 else self.open_label(lang)

    def element(self, lang, label):
        """An element with the state that fits its label: switches are on or off."""
        is_toggle = any(label == t[0 if lang == "en" else 1] for t in w.TOGGLES)
        return Element(label, self.point(), self.rng.choice(("on", "off")) if is_toggle else "")

    def screen(self, lang, app, wanted, avoid=(), page=None):
        """A screen of app with the wanted elements among distractors not named in avoid."""
        taken = {e.label for e in wanted} | set(avoid)
        others = []
        for _ in range(self.rng.randint(0 if wanted else 1, self.size)):
            label = self.any_label(lang)
            if label not in taken:
                taken.add(label)
                others.append(self.element(lang, label))
        elements = others + list(wanted)
        self.rng.shuffle(elements)
        if page is None and self.chance(0.35):
            page = self.any_label(lang)
            page = None if page in taken else page
        self.new_layout()
        return Screen(app, page, elements)

    # ---- steps -------------------------------------------------------------------------

    def say(self, lang, key, **values):
        return SAY[lang][key].format(**values)

    def finish(self, lang, key, **values):
        return f'finish(message="{self.say(lang, key, **values)}")'

    def app_prefix(self, lang, need, current):
        """What the thought says about the app, when the task names one."""
        if need is None:
            return ""
        if current is None:
            return self.say(lang, "need_only", app=need)
        return self.say(lang, "need", app=need, cur=current)

    def launch_step(self, lang, need):
        current = self.other_app(lang, need)
        thought = self.app_prefix(lang, need, current) + self.say(lang, "launch")
        return Step(self.screen(lang, current, []), thought, f'do(action="Launch", app="{need}")')

    def loading_step(self, lang, need, current):
        screen = self.screen(lang, current, [])
        screen.elements, screen.loading = screen.elements[:self.rng.randint(0, 2)], True
        return Step(screen, self.app_prefix(lang, need, current) + self.say(lang, "loading"), WAIT)

    def missing_step(self, lang, need, current, label, avoid):
        thought = self.app_prefix(lang, need, current) + self.say(lang, "look", l=label) + self.say(lang, "missing")
        return Step(self.screen(lang, current, [], avoid), thought, SWIPE_DOWN)

    def tap_step(self, lang, need, current, label, avoid=(), page=None):
        target = Element(label, self.point())
        thought = self.app_prefix(lang, need, current) + self.say(lang, "look", l=label) + self.say(lang, "at", xy=target.xy)
        return Step(self.screen(lang, current, [target], avoid, page), thought, f'do(action="Tap", element={target.xy})')

    def reached_step(self, lang, need, current, label, avoid):
        screen = self.screen(lang, current, [], avoid, page=label)
        thought = self.app_prefix(lang, need, current) + self.say(lang, "reached", l=label)
        return Step(screen, thought, self.finish(lang, "m_open", l=label))

    def field_steps(self, lang, need, current, field_label, text, button, page=None):
        """The steps of typing: tap the field, type, and tap the button."""
        steps = []
        start = self.app_prefix(lang, need, current) + self.say(lang, "look", l=field_label)
        for state in (self.rng.choice(("input", "input", "")), "focused", f'"{text}"'):
            box = Element(field_label, self.point(), state)
            wanted = [box]
            if button and (state.startswith('"') or self.chance(0.3)):
                wanted.append(Element(button, self.point()))
            screen = self.screen(lang, current, wanted, (button, field_label), page)
            if state in ("input", ""):
                thought = start + (self.say(lang, "at_state", xy=box.xy, s=state) + self.say(lang, "tap") if state
                                   else self.say(lang, "at", xy=box.xy))
                action = f'do(action="Tap", element={box.xy})'
            elif state == "focused":
                thought = start + self.say(lang, "at_state", xy=box.xy, s=state) + self.say(lang, "type", t=text)
                action = f'do(action="Type", text="{text}")'
            elif button:
                go = wanted[1]
                thought = start + self.say(lang, "filled", xy=box.xy, t=text) + self.say(lang, "look", l=button) + self.say(lang, "at", xy=go.xy)
                action = f'do(action="Tap", element={go.xy})'
            else:
                thought = start + self.say(lang, "filled", xy=box.xy, t=text) + self.say(lang, "typed")
                action = self.finish(lang, "m_typed", t=text)
            steps.append(Step(screen, thought, action))
        return steps

    # ---- task wording ------------------------------------------------------------------

    def word_task(self, lang, phrase, need):
        """The task text around a verb phrase, naming the app if one is needed."""
        if need is not None:
            template = self.phrase(IN_APP[lang])
        else:
            # A held-out wording is held out once: inside the phrase or around it.
            template = self.phrase(PLAIN[lang])
        task = template.format(p=phrase, P=phrase[0].upper() + phrase[1:], app=self.spoken_app(need))
        return self.with_chatter(lang, task)

    def with_chatter(self, lang, task):
        roll = self.rng.random()
        if roll < 0.08:
            return self.rng.choice(CHATTER[lang][0]) + task
        if roll < 0.16:
            return task.rstrip(".?。？") + self.rng.choice(CHATTER[lang][1])
        return f"{self.noun_phrase(lang)}: {task}" if roll < 0.18 else task

    def spoken_app(self, app):
        return app.lower() if app and self.chance(0.15) else app

    def where(self, lang, label, may_name_app=True):
        """(app the task names or None, current app or None) for a step inside the right app."""
        for _ in range(200):  # a made-up label may have no reserved app at all
            app = self.app(lang)
            if is_reserved_pair(app, label) == (self.split == "combination"):
                break
        if may_name_app and self.chance(0.4):
            return app, (app if self.chance(0.85) else None)
        return None, (app if self.chance(0.7) else None)

    def window(self, steps, may_start_anywhere=True):
        """A run of one to three consecutive steps of an episode."""
        length = self.rng.choice((1, 1, 1, 1, 2, 2, 3))
        start = self.rng.randrange(len(steps)) if may_start_anywhere else 0
        return steps[start:start + length]

    # ---- kinds of task -----------------------------------------------------------------

    def tap_episode(self, lang, task, need, current, label, avoid):
        """Launch if needed, wait, scroll, tap, and see that it is open."""
        steps = []
        if need is not None and current is not None and self.chance(0.5):
            steps.append(self.launch_step(lang, need))
        if self.chance(0.15):
            steps.append(self.loading_step(lang, need, current))
        if self.chance(0.45):
            steps.append(self.missing_step(lang, need, current, label, avoid))
        steps.append(self.tap_step(lang, need, current, label, avoid))
        if self.chance(0.35):
            steps.append(self.reached_step(lang, need, current, label, avoid))
        return task, self.window(steps)

    def concept(self, lang):
        """A control named by its label or by what it is for."""
        labels, phrases = (c := self.rng.choice(w.CONCEPTS))[0 if lang == "en" else 1], c[2 if lang == "en" else 3]
        label = self.rng.choice(labels)
        need, current = self.where(lang, labels[0])
        if self.chance(0.65):
            phrase = self.rng.choice(phrases)
        else:
            spoken = label.lower() if self.chance(0.35) else label
            phrase = self.phrase(TAP_LABEL[lang]).format(l=spoken)
        return self.tap_episode(lang, self.word_task(lang, phrase, need), need, current, label, labels)

    def label(self, lang):
        """A freely named element: a file, a person, a heading."""
        label = self.person(lang) if self.chance(0.2) else self.open_label(lang)
        need, current = self.where(lang, label)
        spoken = label.lower() if self.chance(0.12) else label
        phrase = self.phrase(TAP_LABEL[lang]).format(l=spoken)
        return self.tap_episode(lang, self.word_task(lang, phrase, need), need, current, label, (label,))

    def toggle(self, lang):
        entry = self.rng.choice(w.TOGGLES)
        label, names = entry[0 if lang == "en" else 1], entry[2 if lang == "en" else 3]
        want = self.rng.choice(("on", "off"))
        need, current = self.where(lang, label)
        spoken = self.rng.choice(names) if self.chance(0.5) else label
        task = self.word_task(lang, self.phrase(TURN[lang, want]).format(l=spoken), need)
        steps, look = [], self.say(lang, "look", l=label)
        if need is not None and current is not None and self.chance(0.3):
            steps.append(self.launch_step(lang, need))
        if self.chance(0.25):
            missing = self.missing_step(lang, need, current, label, (label,))
            missing.thought = missing.thought.replace(look, self.say(lang, "want", s=want) + look)
            steps.append(missing)
        start = self.app_prefix(lang, need, current) + self.say(lang, "want", s=want) + self.say(lang, "look", l=label)
        before = "off" if want == "on" else "on"
        for state in (before if self.chance(0.85) else "", want):
            target = Element(label, self.point(), state)
            action = f'do(action="Tap", element={target.xy})'
            if state == want:
                thought = start + self.say(lang, "at_state", xy=target.xy, s=state) + self.say(lang, "done")
                action = self.finish(lang, "m_" + want, l=label)
            elif state:
                thought = start + self.say(lang, "at_state", xy=target.xy, s=state) + self.say(lang, "tap")
            else:
                thought = start + self.say(lang, "at", xy=target.xy)
            steps.append(Step(self.screen(lang, current, [target]), thought, action))
        return task, self.window(steps)

    def open_app(self, lang):
        made_up = self.chance(0.15)
        app = self.open_label(lang) if made_up else self.app(lang)
        explicit = [t for t in OPEN_APP[lang][0] if "app}" in t and (" app" in t or "应用" in t or "APP" in t)]
        template = self.rng.choice(explicit) if made_up else self.phrase(OPEN_APP[lang])
        task = template.format(app=app if made_up else self.spoken_app(app))
        if self.chance(0.2):
            return task, [Step(Screen(), self.say(lang, "need_only", app=app) + self.say(lang, "launch"), f'do(action="Launch", app="{app}")')]
        opened = self.screen(lang, app, [])
        thought = self.app_prefix(lang, app, app) + self.say(lang, "open_app")
        steps = [self.launch_step(lang, app)]
        if self.chance(0.2):
            steps.append(self.loading_step(lang, app, app))
        steps.append(Step(opened, thought, self.finish(lang, "m_open", l=app)))
        for step in steps:
            if self.chance(0.3):  # the app line alone is enough here
                step.screen.elements, step.screen.page = [], None
        return task, self.window(steps)

    def search(self, lang):
        text = self.noun_phrase(lang)
        field_label, button = self.rng.choice(SEARCH_FIELDS[lang]), self.rng.choice(SEARCH_BUTTONS[lang])
        need, current = self.where(lang, field_label)
        task = self.word_task(lang, self.phrase(SEARCH[lang]).format(t=text), need)
        steps = []
        if need is not None and current is not None and self.chance(0.4):
            steps.append(self.launch_step(lang, need))
        steps += self.field_steps(lang, need, current, field_label, text, button)
        results = self.screen(lang, current, [], SEARCH_FIELDS[lang], page=RESULT_PAGES[lang])
        thought = self.app_prefix(lang, need, current) + self.say(lang, "results")
        steps.append(Step(results, thought, self.finish(lang, "m_results", t=text)))
        return task, self.window(steps)

    def send(self, lang):
        text, name = self.message_text(lang), self.person(lang)
        field_label, button = self.rng.choice(MESSAGE_FIELDS[lang]), SEND_BUTTONS[lang][0]
        need, current = self.where(lang, field_label)
        task = self.word_task(lang, self.phrase(SEND[lang]).format(t=text, n=name), need)
        steps = []
        if need is not None and current is not None and self.chance(0.3):
            steps.append(self.launch_step(lang, need))
        steps.append(self.tap_step(lang, need, current, name, (name, *MESSAGE_FIELDS[lang])))
        steps += self.field_steps(lang, need, current, field_label, text, button, page=name)
        sent = self.screen(lang, current, [Element(text, self.point(), "sent"), Element(field_label, self.point(), "input")],
                           (name,), page=name)
        thought = self.app_prefix(lang, need, current) + self.say(lang, "sent")
        steps.append(Step(sent, thought, self.finish(lang, "m_sent", n=name)))
        return task, self.window(steps)

    def type(self, lang):
        """Type into whatever field there is."""
        text = self.message_text(lang)
        field_label = self.rng.choice(OTHER_FIELDS[lang])
        _, current = self.where(lang, field_label, may_name_app=False)
        task = self.word_task(lang, self.phrase(TYPE[lang]).format(t=text), None)
        return task, self.window(self.field_steps(lang, None, current, field_label, text, None))

    def press(self, lang):
        """Long press and double tap."""
        label = self.any_label(lang)
        _, current = self.where(lang, label, may_name_app=False)
        templates, say, name = self.rng.choice(((LONG_PRESS, "long", "Long Press"), (DOUBLE_TAP, "double", "Double Tap")))
        task = self.word_task(lang, self.phrase(templates[lang]).format(l=label), None)
        target = self.element(lang, label)
        target.state = ""
        thought = self.say(lang, "look", l=label) + self.say(lang, say, xy=target.xy)
        return task, [Step(self.screen(lang, current, [target]), thought, f'do(action="{name}", element={target.xy})')]

    def command(self, lang):
        name, english, chinese = self.rng.choice(COMMANDS)
        task = self.phrase(english if lang == "en" else chinese)
        first = self.screen(lang, self.app(lang) if self.chance(0.7) else None, [])
        if self.chance(0.2):
            first = Screen()
        steps = [Step(first, self.say(lang, name), COMMAND_ACTIONS[name])]
        if self.chance(0.3):
            after = self.screen(lang, first.app, [])
            steps.append(Step(after, self.say(lang, "done"), self.finish(lang, "m_done")))
        return task, steps

    def talk(self, lang):
        """Small talk, questions outside the domain, and phone tasks without a screen."""
        held = self.split in ("template", "label")
        kind = self.rng.choices(("greeting", "identity", "thanks", "off_topic", "no_screen"), (3, 2, 1, 6, 2))[0]
        if kind == "no_screen":
            task = self.task_without_screen(lang)
        else:
            lists = {"greeting": (w.GREETINGS, w.GREETINGS_HELD_OUT), "identity": (w.IDENTITY, w.IDENTITY_HELD_OUT),
                     "thanks": (w.THANKS, w.THANKS_HELD_OUT), "off_topic": (w.OFF_TOPIC, w.OFF_TOPIC_HELD_OUT)}[kind]
            adjectives = w.EN_ADJECTIVES if lang == "en" else w.ZH_ADJECTIVES
            task = self.rng.choice(lists[1 if held else 0][lang]).format(
                x=self.noun_phrase(lang), y=self.noun_phrase(lang), n=self.number(), m=self.number(), a=self.rng.choice(adjectives))
        return task, [Step(Screen(), self.say(lang, kind), self.finish(lang, "m_" + kind))]

    def task_without_screen(self, lang):
        """A task that needs the screen, and none is given."""
        roll = self.rng.random()
        if roll < 0.4:
            phrase = self.phrase(TAP_LABEL[lang]).format(l=self.any_label(lang))
        elif roll < 0.7:
            entry = self.rng.choice(w.TOGGLES)
            phrase = self.phrase(TURN[lang, self.rng.choice(("on", "off"))]).format(l=entry[0 if lang == "en" else 1])
        else:
            phrase = self.rng.choice(self.rng.choice(w.CONCEPTS)[2 if lang == "en" else 3])
        return self.word_task(lang, phrase, None)

    # ---- samples -----------------------------------------------------------------------

    def system_prompt(self, lang):
        roll = self.rng.random()
        if roll < 0.45:
            return None
        return SYSTEM_PROMPTS[lang] if roll < 0.9 else self.rng.choice(OTHER_SYSTEM_PROMPTS[lang])

    def sample(self, lang=None):
        """Draws one conversation."""
        lang = lang or self.rng.choice(("en", "zh"))
        names, weights = zip(*self.KINDS)
        kind = self.rng.choices(names, weights)[0]
        task, steps = getattr(self, kind)(lang)
        turns = []
        for i, step in enumerate(steps):
            head, body = (task if i == 0 else "** Screen Info **"), step.screen.text()
            turns.append((f"{head}\n\n{body}" if body else head, step.answer()))
        return Sample(lang, kind, self.system_prompt(lang), turns)


def main():
    """Prints some samples to look at."""
    parser = argparse.ArgumentParser(description="print samples of the synthetic phone tasks")
    parser.add_argument("--split", default="train", choices=SPLITS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    args = parser.parse_args()
    generator = Generator(args.split, args.seed)
    for _ in range(args.count):
        sample = generator.sample()
        print(f"--- {sample.kind} {sample.lang}\n{sample.text()}\n")


if __name__ == "__main__":
    main()
