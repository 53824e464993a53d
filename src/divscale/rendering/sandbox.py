"""The process in which templates that divscale did not ship are rendered: little memory and little time.

Run as a script. Jinja2's sandbox keeps a template from Python's internals, but not from loops and strings without end;
the operating system does. One request a line on stdin, one answer a line on stdout, both JSON; it ends with its stdin.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_BYTES = 512 << 20
CPU_SECONDS = 2.0   # of one rendering; the kernel ends the process, whatever it is doing
MAX_CHARS = 500_000     # of one prompt: above the context of the models that read the most is 1 MB

# Tags on lines of their own leave no empty lines behind, as in chat templates.
ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, trim_blocks=True,
                                            lstrip_blocks=True)


@lru_cache(maxsize=256)
def compiled(template: str) -> Template:
    """The template, parsed once."""
    return ENVIRONMENT.from_string(template)


def fill(template: str, fields: dict[str, object]) -> dict[str, str]:
    """`text`, or `problem` and what it is one `of`: the names it uses, its values, what is forbidden, the limits."""
    try:
        text = compiled(template).render(**fields)
        text.encode()
    except UnicodeEncodeError:
        return {"problem": "it writes half of a surrogate pair, which is no text", "of": "values"}
    except SecurityError as error:
        return {"problem": f"{error.message}", "of": "forbidden"}
    except TemplateError as error:
        return {"problem": f"{error.message}", "of": "names"}
    except OverflowError as error:  # a range beyond Jinja2's limit, a string beyond the machine's
        return {"problem": str(error), "of": "limits"}
    except MemoryError:
        return {"problem": f"it takes more than {MEMORY_BYTES >> 20} MiB of memory", "of": "limits"}
    except RecursionError:
        return {"problem": "it calls itself without end", "of": "limits"}
    except Exception as error:  # what a template calls may raise anything
        return {"problem": str(error) or type(error).__name__, "of": "values"}
    if len(text) > MAX_CHARS:
        return {"problem": f"it writes {len(text):,} characters, and a prompt may have {MAX_CHARS:,}", "of": "limits"}
    return {"text": text}


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)    # Ctrl-C is the driver's business
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        template, fields = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        answer = fill(template, fields)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
