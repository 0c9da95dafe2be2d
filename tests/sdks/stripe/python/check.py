"""Runs the official SDK of Stripe for Python against the simulator."""

import json
import os
import queue
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import stripe

URL = os.environ["STRIPE_URL"]
PATIENCE_S = 20


def client(key):
    return stripe.StripeClient(key, base_addresses={"api": URL})


def act(charge, action, **how):
    request = urllib.request.Request(
        f"{URL}/_sim/stripe/charges/{charge}/{action}", json.dumps(how).encode(), {"content-type": "application/json"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        assert answer.status == 200


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected")


told = queue.Queue()


class Hooks(BaseHTTPRequestHandler):
    """The merchant's address: stores the received requests unchanged."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        told.put((body, self.headers["stripe-signature"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Hooks)
threading.Thread(target=server.serve_forever, daemon=True).start()
api = client("sk_test_python").v1
hooks = f"http://127.0.0.1:{server.server_port}/hooks"
endpoint = api.webhook_endpoints.create({"url": hooks, "enabled_events": ["payment_intent.succeeded"]})

# Pix
order = {
    "amount": 12345,
    "currency": "brl",
    "payment_method_types": ["pix"],
    "confirm": True,
    "metadata": {"reference": "python-pix"},
    "payment_method_data": {"type": "pix", "billing_details": {"name": "Fulano", "email": "a@b.com"}},
}
pix = api.payment_intents.create(order, {"idempotency_key": "python-pix"})
assert pix.next_action.pix_display_qr_code.data.startswith("000201")
assert api.payment_intents.create(order, {"idempotency_key": "python-pix"}).id == pix.id
refused(stripe.IdempotencyError, lambda: api.payment_intents.create({**order, "amount": 1000}, {"idempotency_key": "python-pix"}))
act(pix.id, "pay")
body, signature = told.get(timeout=PATIENCE_S)
event = stripe.Webhook.construct_event(body, signature, endpoint.secret)
assert event.data.object.id == pix.id
refused(stripe.SignatureVerificationError, lambda: stripe.Webhook.construct_event(body, signature, "whsec_other"))
paid = api.payment_intents.retrieve(pix.id, {"expand": ["latest_charge.balance_transaction"]})
assert paid.latest_charge.balance_transaction.net == 12199

# refunds and disputes
refund = api.refunds.create({"payment_intent": pix.id, "amount": 345})
assert api.refunds.retrieve(refund.id).amount == 345
refused(stripe.InvalidRequestError, lambda: api.refunds.create({"payment_intent": pix.id, "amount": 99999}))
act(pix.id, "dispute")
dispute = api.disputes.list({"payment_intent": pix.id}).data[0]
assert api.disputes.retrieve(dispute.id).charge == paid.latest_charge.id

# boleto
boleto = api.payment_intents.create(
    {
        "amount": 5000,
        "currency": "brl",
        "payment_method_types": ["boleto"],
        "confirm": True,
        "payment_method_data": {
            "type": "boleto",
            "boleto": {"tax_id": "52998224725"},
            "billing_details": {
                "name": "Fulano",
                "email": "a@b.com",
                "address": {"line1": "Rua A, 1", "city": "São Paulo", "state": "SP", "postal_code": "01001000", "country": "BR"},
            },
        },
    }
)
assert len(boleto.next_action.boleto_display_details.number) == 47
assert api.payment_intents.cancel(boleto.id, {"cancellation_reason": "abandoned"}).status == "canceled"
assert refused(stripe.InvalidRequestError, lambda: api.payment_intents.cancel(boleto.id)).code == "payment_intent_unexpected_state"

# card
page = {
    "mode": "payment",
    "success_url": "https://shop/ok",
    "client_reference_id": "python-card",
    "payment_method_types": ["card"],
    "line_items": [{"quantity": 2, "price_data": {"currency": "brl", "unit_amount": 500, "product_data": {"name": "Pedido"}}}],
}
session = api.checkout.sessions.create(page)
assert session.amount_total == 1000
act(session.id, "pay")
assert api.checkout.sessions.retrieve(session.id).payment_status == "paid"
other = api.checkout.sessions.create(page)
assert api.checkout.sessions.expire(other.id).status == "expired"

# lists, by the SDK's own paging
assert len(list(api.payment_intents.list({"limit": 1}).auto_paging_iter())) == 3
assert api.events.list({"type": "checkout.session.expired"}).data[0].data.object.id == other.id
assert api.events.retrieve(event.id).type == event.type
assert api.balance.retrieve().object == "balance"
api.webhook_endpoints.delete(endpoint.id)
refused(stripe.AuthenticationError, lambda: client("sk_test_revoked").v1.balance.retrieve())
server.shutdown()
