"""Decodes text of any charset, and replaces characters that PostgreSQL cannot store by U+FFFD.

The charsets are those of the web, and no other of Python's. Their labels are those of the WHATWG's
Encoding Standard, and common ones besides.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

UTF_8 = "utf-8"
_UNREAD = str.maketrans("", "", "-_.: ")  # in names, which are spelled in many ways
# labels by codec, whose own name is one too
_LABELS = {
    UTF_8: "unicode11utf8 unicode20utf8 xunicode20utf8 utf8sig",
    "utf-16": "unicode ucs2 csunicode iso10646ucs2 unicodefeff",
    "utf-16-le": "",
    "utf-16-be": "unicodefffe",
    "utf-32": "",
    "utf-32-le": "",
    "utf-32-be": "",
    "ascii": "usascii us ansix341968 iso646us",
    "iso8859-1": "iso885911987 latin latin1 l1 cp819 ibm819 isoir100 csisolatin1",
    "iso8859-2": "iso885921987 latin2 l2 isoir101 csisolatin2",
    "iso8859-3": "iso885931988 latin3 l3 isoir109 csisolatin3",
    "iso8859-4": "iso885941988 latin4 l4 isoir110 csisolatin4",
    "iso8859-5": "iso885951988 cyrillic isoir144 csisolatincyrillic",
    "iso8859-6": "iso885961987 iso88596e iso88596i csiso88596e csiso88596i"
    " arabic asmo708 ecma114 isoir127 csisolatinarabic",
    "iso8859-7": "iso885971987 greek greek8 ecma118 elot928 suneugreek isoir126 csisolatingreek",
    "iso8859-8": "iso885981988 iso88598e iso88598i csiso88598e csiso88598i"
    " hebrew visual logical isoir138 csisolatinhebrew",
    "iso8859-9": "iso885991989 latin5 l5 isoir148 csisolatin5",
    "iso8859-10": "iso8859101992 latin6 l6 isoir157 csisolatin6",
    "iso8859-11": "",
    "iso8859-13": "latin7 l7",
    "iso8859-14": "iso8859141998 latin8 l8",
    "iso8859-15": "latin9 l9 csisolatin9",
    "iso8859-16": "iso8859162001 latin10 l10",
    **{f"cp{number}": f"windows{number} xcp{number}" for number in range(1250, 1259)},
    "cp866": "866 ibm866 csibm866",
    "cp874": "windows874 dos874 tis620",
    "koi8-r": "koi koi8 cskoi8r",
    "koi8-u": "koi8ru",
    "mac-roman": "macintosh mac xmacroman csmacintosh",
    "mac-cyrillic": "xmaccyrillic xmacukrainian",
    "shift-jis": "sjis xsjis csshiftjis",
    "cp932": "windows31j ms932 mskanji",
    "euc-jp": "xeucjp ujis cseucpkdfmtjapanese",
    "iso2022-jp": "csiso2022jp",
    "euc-kr": "ksc5601 ksc56011987 ksc56011989 korean isoir149 cseuckr csksc56011987",
    "cp949": "windows949 uhc ms949",
    "gb2312": "euccn chinese csgb2312 csiso58gb231280 gb231280 isoir58",
    "gbk": "xgbk cp936 windows936 ms936",
    "gb18030": "gb180302000",
    "big5": "big5tw cnbig5 csbig5 xxbig5",
    "big5hkscs": "",
}
_CODECS: Mapping[str, str] = MappingProxyType(
    {
        label: codec
        for codec, labels in _LABELS.items()
        for label in (codec.translate(_UNREAD), *labels.split())
    }
)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Escapes of halves of surrogate pairs, and of NUL, whose backslash is none that is escaped itself:
# an even number stands before it. Whole pairs are found too, so that no half of them is.
_ESCAPES = re.compile(
    r"(?<!\\)(?P<before>(?:\\\\)*+)\\u"
    r"(?:(?P<pair>[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|[dD][89a-fA-F][0-9a-fA-F]{2}|0000)"
)


def codec_of(charset: str) -> str:
    """Returns the codec of a charset, and that of UTF-8 if there is no such charset.

    Python keeps for ever each name that it was asked for, so it is never asked for a sender's.
    """
    return _CODECS.get(charset.translate(_UNREAD).lower(), UTF_8)


def decode(body: bytes, charset: str) -> str:
    """Decodes text of the named charset, or of UTF-8 if there is no such; never fails.

    Leaves a byte order mark out.
    """
    text = body.decode(codec_of(charset), errors="replace")
    return storable(text.removeprefix("\ufeff"))


def storable(text: str) -> str:
    """Replaces NUL, which PostgreSQL cannot store. Decoded text has no half of a surrogate pair."""
    return text.replace("\0", REPLACEMENT)


def mend_escapes(text: str) -> str:
    r"""Replaces escapes of NUL, and of halves of surrogate pairs, in a JSON text by \ufffd."""
    return _ESCAPES.sub(_mended, text)


def _mended(found: re.Match[str]) -> str:
    return found[0] if found["pair"] else f"{found['before']}\\ufffd"
