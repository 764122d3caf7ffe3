"""Writes examples.json: conversations with the model's exact greedy answers, chosen among
those that it answers right.

The answers are computed with transformers in float32 from the exported bf16 weights. They are
goldens for tests of other engines, so the smallest distance between the best and the second
best logit is written too: where it is large, no rounding may change the answer.
"""

import argparse
import json
import re
from pathlib import Path

import torch

import tasks
from evaluate import HERE, load, render

EN, ZH = tasks.SYSTEM_PROMPTS["en"], tasks.SYSTEM_PROMPTS["zh"]
SETTINGS_EN = ('{"current_app": "Settings"}\npage: Settings\nWi-Fi [500,210] on\nBluetooth [500,290] off\nDisplay [500,370]\n'
               'Battery [500,450]\nAbout phone [500,530]')
SETTINGS_ZH = '{"current_app": "设置"}\n无线网络 [500,210] on\n蓝牙 [500,290] off\n显示 [500,370]\n电池 [500,450]'
SHOP_ZH = '{"current_app": "淘宝"}\n扫一扫 [910,80]\n购物车 [700,960]\n我的 [905,962]\n优惠券 [300,240]'
SHOP_EN = '{"current_app": "Amazon"}\nCart [880,60]\nOrders [240,310]\nCoupons [690,415]\nHelp [130,930]'
VIDEO_EN = '{"current_app": "YouTube"}\nSearch box [480,60] focused\nHistory [200,300]\nShare [610,720]'
VIDEO_ZH = '{"current_app": "哔哩哔哩"}\n搜索框 [480,60] focused\n历史记录 [200,300]\n分享 [610,720]'
CHAT_EN = '{"current_app": "WhatsApp"}\npage: Alice\nMessage [430,940] "good morning"\nSend [920,945]\nCall [850,70]'


def user(text):
    return {"role": "user", "content": text}


def conversations():
    """(name, messages) of each example."""
    system_en, system_zh = {"role": "system", "content": EN}, {"role": "system", "content": ZH}
    tap_en = "<think>Want on. Look for Bluetooth. It is at [500,290], off. Tap it.</think><answer>do(action=\"Tap\", element=[500,290])</answer>"
    tap_zh = "<think>要找购物车，它在 [700,960]，点击它。</think><answer>do(action=\"Tap\", element=[700,960])</answer>"
    return [
        ("tap_label_en", [system_en, user("Tap Orders\n\n" + SHOP_EN)]),
        ("tap_synonym_en", [user("Check my orders\n\n" + SHOP_EN)]),
        ("tap_cart_en", [user("See what is in my basket\n\n" + SHOP_EN)]),
        ("tap_battery_en", [user("See how much power is left\n\n" + SETTINGS_EN)]),
        ("tap_synonym_zh", [system_zh, user("帮我看看我要买的东西\n\n" + SHOP_ZH)]),
        ("tap_label_zh", [user("点击优惠券\n\n" + SHOP_ZH)]),
        ("tap_scan_zh", [user("扫二维码\n\n" + SHOP_ZH)]),
        ("tap_battery_zh", [system_zh, user("查电量\n\n" + SETTINGS_ZH)]),
        ("toggle_en", [user("Turn on Bluetooth\n\n" + SETTINGS_EN)]),
        ("toggle_two_turns_en", [system_en, user("Turn on Bluetooth\n\n" + SETTINGS_EN), {"role": "assistant", "content": tap_en},
                                 user("** Screen Info **\n\n" + SETTINGS_EN.replace("[500,290] off", "[500,290] on"))]),
        ("open_two_turns_zh", [system_zh, user("打开购物车\n\n" + SHOP_ZH), {"role": "assistant", "content": tap_zh},
                               user("** Screen Info **\n\n{\"current_app\": \"淘宝\"}\npage: 购物车\n付款 [800,920]\n编辑 [900,80]")]),
        ("type_en", [system_en, user("Search for happy panda\n\n" + VIDEO_EN)]),
        ("type_zh", [system_zh, user("搜索熊猫\n\n" + VIDEO_ZH)]),
        ("send_en", [user('Send "good morning" to Alice\n\n' + CHAT_EN)]),
        ("launch_zh", [system_zh, user("打开微信\n\n{\"current_app\": \"系统桌面\"}")]),
        ("launch_en", [user("Open the Chrome app\n\n{\"current_app\": \"System Home\"}")]),
        ("scroll_down_zh", [user("向下滚动")]),
        ("loading_zh", [system_zh, user("点击蓝牙\n\n{\"current_app\": \"设置\"}\nloading")]),
        ("long_press_en", [user("Long press Coupons\n\n" + SHOP_EN)]),
        ("back_zh", [user("返回上一页")]),
        ("hello_en", [user("Hi")]),
        ("hello_zh", [user("你好")]),
        ("off_topic_en", [user("What is the capital of France?")]),
        ("off_topic_zh", [user("讲个笑话")]),
        ("no_screen_en", [user("Turn on Bluetooth")]),
    ]


@torch.no_grad()
def greedy(model, ids, limit=160):
    """Greedy token ids including the end token, and the smallest lead of a chosen token."""
    ends = set(model.generation_config.eos_token_id)
    out, lead = [], float("inf")
    while len(out) < limit and not (out and out[-1] in ends):
        best = model(torch.tensor([ids + out])).logits[0, -1].topk(2)
        lead = min(lead, (best.values[0] - best.values[1]).item())
        out.append(best.indices[0].item())
    return out, lead


def main():
    parser = argparse.ArgumentParser(description="write example conversations with exact answers")
    parser.add_argument("--model", default=str(HERE.parents[1] / "models" / "phone-demo"))
    args = parser.parse_args()
    tokenizer, model = load(args.model)
    examples = []
    for name, messages in conversations():
        prompt = render(tokenizer, messages)
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        out, lead = greedy(model, ids)
        ended = out[-1] in set(model.generation_config.eos_token_id)
        answer = tokenizer.decode(out[:-1] if ended else out, skip_special_tokens=True)
        print(f"{name}: {answer}   (lead {lead:.2f})")
        examples.append({"name": name, "messages": messages, "prompt": prompt, "answer": answer, "finish_reason": "stop" if ended else "length",
                         "prompt_token_ids": ids, "generated_token_ids": out, "smallest_logit_lead": round(lead, 3)})
    note = "Greedy answers computed in float32 from the bf16 weights; generated_token_ids ends with the end token, which is not part of answer."
    text = json.dumps({"note": note, "examples": examples}, ensure_ascii=False, indent=2) + "\n"
    (Path(args.model) / "examples.json").write_text(compact_lists(text))


def compact_lists(text):
    """Puts lists of numbers on one line, so that the file stays readable."""
    return re.sub(r"\[\s+((?:\d+,\s+)*\d+)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m.group(1)) + "]", text)


if __name__ == "__main__":
    main()
