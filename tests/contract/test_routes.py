"""The routes of the server are exactly the operations of the contract."""

from samvad.api.routes import OPERATIONS
from samvad.ingress.endpoint import PREFIX
from samvad.web.connect import PAGE
from tests.contract import police

META = {("GET", f"{PREFIX}{{pluginId}}"), ("POST", f"{PREFIX}{{pluginId}}")}
PAGES = {("GET", PAGE), ("POST", PAGE)}


def test_what_the_server_routes_is_what_the_contract_promises() -> None:
    served = {(method, path) for method, path, _, _ in OPERATIONS} | META | PAGES

    assert served - police.operations() == set(), "served, and nowhere promised"
    assert police.operations() - served == set(), "promised, and not served"


def test_no_operation_is_routed_twice() -> None:
    routes = [(method, path) for method, path, _, _ in OPERATIONS]

    assert len(routes) == len(set(routes))


def test_the_key_an_operation_needs_is_the_one_the_contract_says() -> None:
    needed = {(it.method, it.template): it.needs_key for it in police.contract().operations}

    for method, path, _, key in OPERATIONS:
        assert (key == "required") == needed[method, path], f"{method} {path}"
