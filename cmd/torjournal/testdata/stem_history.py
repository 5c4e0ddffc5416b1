"""Asks torjournal about the past, with stem, and prints the rows.

usage: stem_history.py PORT QUESTION
"""
import sys

from stem.control import Controller

port, question = sys.argv[1:]

with Controller.from_port(port=int(port)) as controller:
    controller.authenticate()
    after = ""
    while True:
        reply = controller.msg("HISTORY " + question + after)
        assert reply.is_ok(), reply
        code, divider, rows = reply.content()[0]
        assert divider == "+" and rows.startswith("HISTORY="), rows
        for row in rows.splitlines()[1:]:
            print(row)
        last = reply.content()[-1][2]
        if last == "OK":
            break
        assert last.startswith("TRUNCATED=1 NEXT="), last
        after = " " + last.split(" ")[1]
