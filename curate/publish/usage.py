"""The terms of a release as an ODRL policy (W3C, ODRL 2.2), with DUO terms where one says the same.

Only what the classes of the licences say is told: nothing is permitted here that a licence does not permit, and a
duty stands wherever one part asks it. The texts of the licences decide.
"""

from typing import Any, Final

from curate.publish.facts import Facts
from curate.publish.licences import licence_address, licence_keys
from curate.terms import TermsClass, bound_alike

__all__ = ["usage"]

_PUBLIC_DOMAIN: Final = frozenset({"CC0-1.0", "PDDL-1.0", "Unlicense", "0BSD"})
"""Licences that ask for no attribution."""


def usage(facts: Facts) -> dict[str, Any]:
    """What may be done with the whole, as the most bound of its parts has it."""
    found = [licence for one in facts.sources for licence in one.licences]
    keys = sorted({key for licence in found for key in licence_keys(licence.expression)})
    commercial = all(licence.terms is not TermsClass.NON_COMMERCIAL for licence in found)
    duties = [] if set(keys) <= _PUBLIC_DOMAIN else [{"odrl:action": {"@id": "odrl:attribute"}}]
    if any(bound_alike(licence.expression) for licence in found):
        duties.append({"odrl:action": {"@id": "http://creativecommons.org/ns#ShareAlike"}})
    permission: dict[str, Any] = {
        "@type": "odrl:Permission",
        "odrl:action": [{"@id": f"odrl:{action}"} for action in ("reproduce", "derive", "distribute")],
    }
    if duties:
        permission["odrl:duty"] = [{"@type": "odrl:Duty", **duty} for duty in duties]
    told: dict[str, Any] = {
        "@type": ["CreativeWork", "odrl:Offer"],
        "name": "Terms of the whole, as its most bound part has them",
        "odrl:permission": permission,
    }
    if not commercial:
        told["odrl:prohibition"] = {
            "@type": "odrl:Prohibition",
            "odrl:action": {"@id": "http://creativecommons.org/ns#CommercialUse"},
        }
        permission["odrl:constraint"] = {
            "@type": "odrl:Constraint",
            "name": "Not for commercial use",
            "odrl:leftOperand": {"@id": "odrl:purpose"},
            "odrl:operator": {"@id": "odrl:eq"},
            "odrl:rightOperand": {"@id": "duo:0000046"},
        }
    addresses = [licence_address(key) for key in keys]
    told["license"] = [address or key for address, key in zip(addresses, keys, strict=True)]
    return told
