"""Creates a charge, pays it, and receives its webhook. Then Efí goes down: the next gateway takes over until Efí answers again."""

import argparse
import datetime
import http.server
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

PATIENCE_S = 60
ORDER = {
    "amount": 12345,
    "description": "Pedido de demonstração",
    "payer": {"name": "Maria da Silva", "document": "529.982.247-25", "email": "maria@example.com"},
    "payment_method": {"type": "pix", "expires_in": 3600},
}
STARTED, BEGAN = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)


def report(text):
    print(f"{time.monotonic() - STARTED:6.2f} s  {text}", flush=True)


class MerchantServer(http.server.BaseHTTPRequestHandler):
    """The merchant's server."""

    secret = None
    received = []
    changed = threading.Condition()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = Webhook(MerchantServer.secret).verify(body, dict(self.headers))
        except WebhookVerificationError as error:
            report(f"merchant: refused a webhook: {error}")
            self.send_response(401)
        else:
            with MerchantServer.changed:
                MerchantServer.received.append((time.monotonic(), self.headers["webhook-id"], json.loads(body) if isinstance(event, bytes) else event))
                MerchantServer.changed.notify_all()
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def wait_for(kind, charge):
    deadline = time.monotonic() + PATIENCE_S
    with MerchantServer.changed:
        while True:
            for at, identity, event in MerchantServer.received:
                if event["type"] == kind and event["subject"]["id"] == charge:
                    return at, identity, event
            if not MerchantServer.changed.wait(deadline - time.monotonic()):
                raise SystemExit(f"demo: the webhook {kind} of {charge} did not arrive")


class Client:
    def __init__(self, base, key=None):
        self.base, self.key = base, key

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method)
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
            request.add_header("Idempotency-Key", str(uuid.uuid4()))
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=PATIENCE_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"demo: {method} {path}: {error.code} {error.read().decode()}")
        return json.loads(text) if text else None


def charge(api):
    begin = time.monotonic()
    created = api.call("POST", "/v1/charges", ORDER)
    took = (time.monotonic() - begin) * 1000
    timeline = api.call("GET", f"/v1/charges/{created['id']}/timeline")["data"]
    attempts = [entry["attempt"] for entry in timeline if entry["type"] == "attempt"]
    route = " → ".join(f"{a['gateway']} ({a['reason']}: {a['state']})" for a in attempts)
    report(f"charge {created['id']} {created['status']} in {took:.0f} ms   {route}")
    return created, attempts


def breaker(line):
    message = json.loads(line.split(" ", 1)[1])
    if datetime.datetime.fromisoformat(message["time"].replace("Z", "+00:00")) < BEGAN:
        return
    data = message["data"]
    report(f"Kafka, gateway.health.v1: {data['gateway']} breaker {data['from']} → {data['to']} ({data['why']})")


def main():
    arguments = argparse.ArgumentParser()
    for name in ("api", "key", "simulators", "orchestrator"):
        arguments.add_argument(f"--{name}", required=True)
    arguments = arguments.parse_args()
    api, simulators = Client(arguments.api, arguments.key), Client(arguments.simulators)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), MerchantServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = api.call("POST", "/v1/webhook_endpoints", {"url": f"http://127.0.0.1:{server.server_port}/hooks", "description": "demo"})
    MerchantServer.secret = endpoint["secret"]
    tail = subprocess.Popen([arguments.orchestrator, "events", "tail", "--from-beginning", "--topic", "gateway.health.v1"], stdout=subprocess.PIPE, text=True)
    threading.Thread(target=lambda: [breaker(line) for line in tail.stdout], daemon=True).start()
    try:
        simulators.call("DELETE", "/_sim/efi/faults")
        run(api, simulators)
    finally:
        simulators.call("DELETE", "/_sim/efi/faults")
        tail.terminate()
        api.call("DELETE", f"/v1/webhook_endpoints/{endpoint['id']}")


def run(api, simulators):
    report("— A Pix charge is created and paid, and the merchant is notified —")
    created, _ = charge(api)
    report(f"   {created['next_action']['copy_paste'][:60]}…")
    at_gateway = simulators.call("GET", "/_sim/efi/charges")["charges"][-1]
    paid_at = time.monotonic()
    simulators.call("POST", f"/_sim/efi/charges/{at_gateway['reference']}/pay", {})
    at, identity, event = wait_for("charge.paid", created["id"])
    report(f"paid; webhook {identity} verified {(at - paid_at) * 1000:.0f} ms later: {event['type']} amount_paid={event['data']['amount_paid']}")

    report("— Efí refuses connections —")
    simulators.call("POST", "/_sim/efi/faults", {"kind": "down"})
    deadline = time.monotonic() + PATIENCE_S
    while True:
        _, attempts = charge(api)
        if all(attempt["gateway"] != "efi" for attempt in attempts):
            report("Efí's breaker is open: charges go to the next gateway at once")
            break
        assert time.monotonic() < deadline, "the breaker never opened"

    report("— Efí answers again —")
    simulators.call("DELETE", "/_sim/efi/faults")
    while True:
        _, attempts = charge(api)
        if attempts[-1]["gateway"] == "efi" and attempts[-1]["reason"] == "primary":
            report("Efí's breaker is closed again")
            break
        assert time.monotonic() < deadline, "the breaker never closed"
        time.sleep(1)


main()
