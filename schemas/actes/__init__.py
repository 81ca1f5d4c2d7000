"""ACTES v1.1: acts of a collectivité, sent to the préfecture for the check of legality.

model.py           what is transmitted
classification.py  natures, matières and piece types, as the préfecture sends them (7-2)
rules.py           what makes an act receivable, one function a rule
naming.py          names of archives, envelopes, messages and pieces
package.py         building and checking what leaves (1-1, 6-1, 7-1)
opening.py         reading what somebody else packed
returns.py         reading what comes back (1-2, 1-3, AnomalieEnveloppe, 6-2, 7-2, 7-3)
answers.py         writing what comes back, for the stand-in of the ministry
xsd/               the norm's schema; actes.xsd holds the whole
data/              the national part of the classification
"""
