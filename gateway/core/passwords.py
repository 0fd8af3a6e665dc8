"""Which passwords an admin may choose: long enough, not guessable at first try, nothing more.

No rules of composition (NIST SP 800-63B, OWASP ASVS 5): length and "not one of the first guesses"
are what helps.
"""

from __future__ import annotations

import re

from gateway.errors import Message

MIN_LENGTH = 10
MAX_LENGTH = 128

_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_COMMON_WORDS = """
password password1 password12 password123 password1234 password12345 passw0rd passw0rd1 p@ssw0rd
p@ssw0rd1 p@ssw0rd123 p@ssword p@ssword1 p@ssword123 letmein letmein1 letmein123 welcome
welcome1 welcome12 welcome123 welcome1234 admin admin1 admin12 admin123 admin1234 admin12345
admin123456 administrator administrator1 changeme changeme1 changeme123 default iloveyou
iloveyou1 iloveyou2 iloveyou123 sunshine sunshine1 princess princess1 football football1
baseball baseball1 superman superman1 batman123 monkey123 dragon123 master123 shadow123
michael123 jennifer1 computer computer1 computer123 internet internet1 whatever whatever1
trustno1 starwars starwars1 qwerty qwerty1 qwerty12 qwerty123 qwerty1234 qwerty12345
qwerty123456 qwertyuiop1 qwertyuiop123 qazwsxedc qazwsxedc1 qazwsxedcrfv 1qaz2wsx 1qaz2wsx3edc
1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y q1w2e3r4t5 q1w2e3r4t5y6 zaq12wsx zaq1zaq1 abc123456 abcd1234
abcd12345 abcdef123 abc123abc123 a1b2c3d4e5 a1s2d3f4g5 asdf123456 asdfghjkl1 zxcvbnm123
123456789a a123456789 1234567890a 123456789q 0987654321 9876543210 1029384756 147258369 159753
1597530 123654789 123123123 112233445566 121212121212 secret secret123 secret1234 topsecret
topsecret1 mypassword mypassword1 newpassword newpassword1 thepassword yourpassword temporary
temporary1 testtest testtest1 testtesttest test123456 test1234567 guest12345 login12345
root123456 rootroot toor123456 ubuntu1234 raspberry raspberry1 raspberrypi liverpool1 manchester
chelsea123 barcelona1 charlie123 jordan2323 slipknot666 metallica1 blink182blink iloveyou12
loveyou123 lovelovelove ilovegod123 jesuschrist jesus12345 christian1 butterfly1 chocolate1
strawberry basketball basketball1 volleyball1 cheerleader playstation playstation1 nintendo64
pokemon123 minecraft1 minecraft123 fortnite123 counterstrike godofwar123 mercedes123 lamborghini
ferrari123 motorcycle skateboard snowboard1 cristiano7 ronaldo123 messi12345 elizabeth1
alexander1 christopher stephanie1 samantha123 victoria123 correcthorsebatterystaple
hunter2hunter2 ollama2openai ollama2openai1 ollamaollama openaiopenai ollama12345 openai12345
ollama123456 chatgpt123 anthropic1 gateway123 gatewaygateway
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_LEET = str.maketrans("@4013$57!", "aaoiessti")


def problem(password: str, username: str = "") -> Message | None:
    """Return what is wrong with a new password as the end of a sentence."""
    if len(password) < MIN_LENGTH:
        return Message("must have at least %(count)s characters", count=MIN_LENGTH)
    if len(password) > MAX_LENGTH:
        return Message("must have at most %(count)s characters", count=MAX_LENGTH)
    lower = password.lower()
    if username and username.lower() in {lower, lower[::-1], lower.strip("0123456789!@#$.-_ ")}:
        return Message("must not be the user name")
    stripped = lower.rstrip("0123456789!?.*#$ ")
    likely = {lower, stripped, stripped.translate(_LEET), lower.translate(_LEET)}
    if likely & _COMMON or _is_pattern(lower):
        return Message("is one of the first that would be guessed")
    return None


def _is_pattern(lower: str) -> bool:
    """One character or a short piece again and again, or a walk along keys or the alphabet."""
    if re.fullmatch(r"(.{1,4})\1+.{0,3}", lower):
        return True
    walks = [walk for row in _ROWS for walk in (row * 3, (row * 3)[::-1])]
    return any(lower in walk for walk in walks)
