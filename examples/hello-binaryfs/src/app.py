"""Greets, and counts the words of the input files and of the dataset."""

import json
import os
import sys


def inputs(env):
    """Yields the path of each input file, the dataset first."""
    folder = env.get("IEXEC_IN", "/iexec_in")
    names = [env.get("IEXEC_DATASET_FILENAME", "")]
    for n in range(int(env.get("IEXEC_INPUT_FILES_NUMBER") or 0)):
        names.append(env.get("IEXEC_INPUT_FILE_NAME_%d" % (n + 1), ""))
    return [os.path.join(folder, name) for name in names if name]


def report(args, env):
    lines = ["Hello, %s!" % (" ".join(args) or "world")]
    for path in inputs(env):
        with open(path, encoding="utf-8", errors="replace") as f:
            lines.append("%s: %d words" % (os.path.basename(path), len(f.read().split())))
    return "\n".join(lines) + "\n"


def main(args, env):
    text = report(args, env)
    out = env.get("IEXEC_OUT", "/iexec_out")
    result = os.path.join(out, "result.txt")
    with open(result, "w", encoding="utf-8") as f:
        f.write(text)
    with open(os.path.join(out, "computed.json"), "w", encoding="utf-8") as f:
        json.dump({"deterministic-output-path": result}, f)
    print(text, end="")


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
