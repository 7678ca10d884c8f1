"""What a run did, read from its event log alone: facts, each with the id of the event that shows it.

`facts` has the model `Evidence`; `reading` makes it from events; `inputs`, `commands` and `suites` read what tools were
given and what they printed; `summaries` writes the facts as a text for a judge. Agents and their tools write what is
read here, so it may have any form: what cannot be read is left out, and nothing raises.
"""
