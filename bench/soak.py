#!/usr/bin/env python3
"""Keeps N streaming requests running against a server for a while; fails on any error or when its memory grows.

    bench/soak.py --url http://127.0.0.1:8000 --streams 64 --minutes 5 --pid $(pidof sluice)

Prints requests, tokens per second, TTFT and TPOT percentiles and the resident memory at every tenth of the time.
"""

import argparse
import asyncio
import json
import random
import time
from pathlib import Path
from urllib.parse import urlsplit

PROMPTS = ["Hi", "打开蓝牙\n\n{\"current_app\": \"设置\"}\nWi-Fi [500,210] on\n蓝牙 [500,290] off",
           "Check my orders\n\n{\"current_app\": \"Amazon\"}\nCart [880,60]\nOrders [240,310]\nHelp [130,930]", "你好"]


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Soak:
    def __init__(self, options):
        self.options = options
        self.address = urlsplit(options.url)
        self.end = time.monotonic() + options.minutes * 60
        self.requests = self.tokens = 0
        self.errors, self.first, self.between, self.memory = [], [], [], []

    async def one(self, rng: random.Random) -> None:
        body = json.dumps({"messages": [{"role": "user", "content": rng.choice(PROMPTS) + self.nonce(rng)}], "stream": True,
                           "max_tokens": rng.randint(1, self.options.max_tokens), "temperature": rng.choice([0, 1]),
                           "ignore_eos": True, "stream_options": {"include_usage": True}}).encode()
        start = time.monotonic()
        reader, writer = await asyncio.open_connection(self.address.hostname, self.address.port)
        try:
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n"
                         b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            status = await reader.readline()
            if b" 200 " not in status:
                raise RuntimeError(status.decode() + (await reader.read(400)).decode(errors="replace"))
            first = last = None
            usage = done = False
            while line := await reader.readline():
                if not line.startswith(b"data: "):
                    continue
                if line.startswith(b"data: [DONE]"):
                    done = True
                    continue
                event = json.loads(line[6:])
                if event.get("usage"):
                    usage = event["usage"]
                if event["choices"]:
                    last = time.monotonic()
                    first = first or last
            if not done or not usage:
                raise RuntimeError("the stream ended without [DONE] or usage")
            self.requests += 1
            self.tokens += usage["completion_tokens"]
            self.first.append(first - start)
            if usage["completion_tokens"] > 1:
                self.between.append((last - first) / (usage["completion_tokens"] - 1))
        finally:
            writer.close()

    @staticmethod
    def nonce(rng: random.Random) -> str:
        """Half of the prompts are new, so that the prefix index fills and evicts as in real traffic."""
        return f"\nItem {rng.random()} [{rng.randint(0, 999)},{rng.randint(0, 999)}]" if rng.random() < 0.5 else ""

    async def stream(self, seed: int) -> None:
        rng = random.Random(seed)
        while time.monotonic() < self.end:
            try:
                await self.one(rng)
            except Exception as error:  # noqa: BLE001: every failure counts
                self.errors.append(repr(error))
                await asyncio.sleep(0.1)

    async def watch(self) -> None:
        while self.options.pid and time.monotonic() < self.end:
            self.memory.append(resident_mib(self.options.pid))
            await asyncio.sleep(self.options.minutes * 6)

    async def run(self) -> None:
        await asyncio.gather(self.watch(), *(self.stream(i) for i in range(self.options.streams)))


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--pid", type=int, default=0)
    soak = Soak(parser.parse_args())
    start = time.monotonic()
    asyncio.run(soak.run())
    seconds = time.monotonic() - start
    print(json.dumps({"seconds": round(seconds, 1), "requests": soak.requests, "errors": len(soak.errors),
                      "first_errors": soak.errors[:3], "tokens_per_s": round(soak.tokens / seconds, 1),
                      "ttft_s": {p: round(percentile(soak.first, p / 100), 4) for p in (50, 95, 99)},
                      "tpot_s": {p: round(percentile(soak.between, p / 100), 5) for p in (50, 95, 99)},
                      "resident_mib": [round(m, 1) for m in soak.memory]}, indent=1))
    # Memory rises while cache blocks are used for the first time (give the server a small --memory so that this is soon
    # over); in the second half it must stand still (5 %).
    grew = len(soak.memory) > 5 and soak.memory[-1] > soak.memory[len(soak.memory) // 2] * 1.05 + 2
    return 1 if soak.errors or grew else 0


if __name__ == "__main__":
    raise SystemExit(main())
