"""Coze: the protocol, and the bot that the rest of Yingda asks.

Pure, no I/O:  errors (codes and what to do about them) · sse (bytes to events) · protocol (events and
               objects, typed) · answer (events to one answer) · replies (its end, for the customer) ·
               workflows (results of runs) · records (what endpoints take and give) · retries (counting
               tries) · breaker (leaving a Coze that is down alone) · sink (who follows an answer)
Network:       transport (the one user of urllib3) · auth (tokens) · calls (one call: token, envelope,
               tries) · streams (typed events off the wire) · client (one method per endpoint)
The bot:       bot (a customer's question to a `Reply`; the one file that knows storage)

The layers import downwards only: the bot the network, the network the pure part.
"""
