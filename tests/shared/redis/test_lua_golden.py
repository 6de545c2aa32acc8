"""The texts of the scripts are those that were linked from Python strings before: the move to files changed none."""

from __future__ import annotations

import hashlib
import re

import pytest

from offloop.redis import lua

DIGESTS = {
    "job/submit": "8d55a54ee0299a7d89c3655c5763595686f8dcc23b97ba24504ef3cd25981a3d",
    "job/read": "f8a3ca75fae1d8b6ace6c25392ca8b87ac85629e18a0403df9fa7203da964c26",
    "job/mark_disclosed": "96ce914514804d8e29e3fa23936b1fc80331955350963d50527fcbc7a4d231c3",
    "job/cancel": "445aa85494c43b1ce81108f272e74cf294b103c79096d480d1adfd3c1fbd5968",
    "job/abandon": "bcce392b35c71a0fa6f78f263f3153a0c7987c677f74e09db80b89667c489735",
    "job/begin": "9f3150df8d6ce2f15e86a8b2d5dbec895478abf97b64ba4ef0a54f49fbe8877b",
    "job/heartbeat": "39074e0ea116200bc2e6193789735fc18abca68373e0c4d6aaa120fcc7d76c0c",
    "job/progress": "cd31a3eb361d2a93589bac403dc5cb9605eac8e0ad7736e2becb5d6a9a7b1c22",
    "job/finish": "a589f3dd153470dec726c17ff70bb0963b5bfed1b9c6767a724febc231cdc503",
    "job/release": "0d37be1d37ae25f4230c55dfd19650c2d7f7d925e5b248bc15ce5e4831c92309",
    "job/sweep": "dcb407f72126bd1cea87a607623dd05a80cc08713491e8fc0d42de8ecfbc77bf",
    "batch/submit": "adcda4453e726d30390872ed53be7e4a616c8be643af05f6ac288f75c348b59b",
    "delivery/claim": "eed77f08182f2fecb7dfcd0b99afc1facb0e8a0f70a18151d8909433c423bd59",
    "delivery/renew": "de07178c6e399b0f8735363bfa244b329c450bc09190fe68ca685f67bafe5cb5",
    "delivery/settle": "926be5e3140fd85211f8ff0965e1a6df492d00b3478293df082d4d852a189000",
    "delivery/replay": "632aaadd8c8b58262089074eec2317cc2d68dd5d1dc6b683d2304279d8bb6c93",
    "delivery/rotate_secret": "c8b95be6780ec89e94697ec04c4326ee32354ea93c71ba85b7468e4657a7fda4",
    "delivery/signing_secrets": "117582f23ecda2f5c8be7811e458abecca12f25197030f2503322c9a6108237f",
    "quota/charge": "fbcf3e1f5d0d3aa5d7d515f4f61fbd134787118ccb53b08630cca1e255f695ae",
    "quota/refund": "595d21d68de939dd62ac802f7b28ab2bf3cd661b2e310422923decaf072d25ce",
    "quota/delete": "d0eb51a668a7c0774c98aa7e4d8b630b3472bc93cfac4f840546a54ac44d57b4",
    "quota/usage": "0b8d5579b4c95ee6d1123789cc345818010b463ce948bc5314203c58eb33df1d",
    "artifact/fill_upload": "e333ca58cad4e83e044f14ef76d525699c50fc871bbebebb74918ef7b5ffb9d0",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_script_has_the_statements_it_had(name: str) -> None:
    assert hashlib.sha256("\n".join(_statements(lua.text(name))).encode()).hexdigest() == DIGESTS[name]


def _statements(text: str) -> list[str]:
    """Top-level statements without comments and blank space, sorted: they are concatenated in another order."""
    text = re.sub(r"(?m)[ ]*--[^\n]*", "", text)
    text = re.sub(r"(?m)^end\n", "end\nlocal _\n", text)
    return sorted(
        filter(None, (" ".join(part.split()) for part in re.split(r"^(?=local |\w+ = )", text, flags=re.MULTILINE)))
    )
