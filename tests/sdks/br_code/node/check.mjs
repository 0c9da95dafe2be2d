// The Pix codes of every simulator, read by a library that is nobody's here: checksum, amount, and where the code points.
import assert from "node:assert/strict";
import { hasError, isDynamicPix, parsePix } from "pix-utils";

const { EFI_URL, EFI_COBRANCAS_URL, STRIPE_URL, ASAAS_URL } = process.env;
const KEY = "71cdf9ba-c695-4e3c-b010-abb521a3f1be";
const basic = `Basic ${Buffer.from("Client_Id_brcode:Client_Secret_brcode").toString("base64")}`;

async function call(method, url, headers, body) {
  const isForm = body instanceof URLSearchParams;
  const answer = await fetch(url, {
    method,
    headers: { "user-agent": "checks", ...(body && !isForm ? { "content-type": "application/json" } : {}), ...headers },
    body: body === undefined || isForm ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${url}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

/** Reads a code; `amount` in reais. */
function read(name, code, amount, location) {
  const pix = parsePix(code);
  assert.ok(!hasError(pix), `${name}: ${JSON.stringify(pix)}`);
  assert.ok(isDynamicPix(pix), `${name} is no dynamic code`);
  if (location !== undefined) assert.equal(pix.url, location, `${name}: the location`);
  assert.ok(pix.url.length > 0 && pix.url.length <= 77, `${name}: ${pix.url}`);
  const told = /54(\d\d)([\d.]+)5802BR/.exec(code)?.[2];
  if (told !== undefined) assert.equal(Number(told), amount, `${name}: the amount`);
  console.log(`${name}: ${pix.url}`);
}

const tomorrow = new Date(Date.now() + 5 * 86_400_000).toISOString().slice(0, 10);

async function efi() {
  const token = await call("POST", `${EFI_URL}/oauth/token`, { authorization: basic }, { grant_type: "client_credentials" });
  const authorization = `Bearer ${token.access_token}`;
  const cob = await call("PUT", `${EFI_URL}/v2/cob/brcode00000000000000000000001`, { authorization }, {
    calendario: { expiracao: 3600 }, devedor: { cpf: "52998224725", nome: "Fulano de Tal" }, valor: { original: "123.45" }, chave: KEY,
  });
  read("Efí cob", cob.pixCopiaECola, 123.45, cob.location);
  const qr = await call("GET", `${EFI_URL}/v2/loc/${cob.loc.id}/qrcode`, { authorization });
  read("Efí loc", qr.qrcode, 123.45, cob.location);
}

async function cobrancas() {
  const token = await call("POST", `${EFI_COBRANCAS_URL}/v1/authorize`, { authorization: basic }, { grant_type: "client_credentials" });
  const { data } = await call("POST", `${EFI_COBRANCAS_URL}/v1/charge/one-step`, { authorization: `Bearer ${token.access_token}` }, {
    items: [{ name: "Pedido 123", value: 12345, amount: 1 }],
    payment: { banking_billet: {
      customer: { name: "Gorbadoc Oldbuck", cpf: "94271564656", email: "a@b.com", phone_number: "5144916523" }, expire_at: tomorrow,
    } },
  });
  read("Efí bolix", data.pix.qrcode, 123.45);
}

async function stripe() {
  const form = new URLSearchParams({
    amount: "12345", currency: "brl", confirm: "true", "payment_method_types[0]": "pix", "payment_method_data[type]": "pix",
    "payment_method_data[billing_details][name]": "Fulano", "payment_method_data[billing_details][email]": "a@b.com",
  });
  const intent = await call("POST", `${STRIPE_URL}/v1/payment_intents`, { authorization: "Bearer sk_test_brcode" }, form);
  read("Stripe", intent.next_action.pix_display_qr_code.data, 123.45);
}

async function asaas() {
  const headers = { access_token: "$aact_hmlg_brcode" };
  const customer = await call("POST", `${ASAAS_URL}/v3/customers`, headers, { name: "Fulano de Tal", cpfCnpj: "52998224725" });
  const payment = await call("POST", `${ASAAS_URL}/v3/payments`, headers, {
    customer: customer.id, billingType: "PIX", value: 123.45, dueDate: tomorrow,
  });
  const code = await call("GET", `${ASAAS_URL}/v3/payments/${payment.id}/pixQrCode`, headers);
  read("Asaas", code.payload, 123.45);
}

await efi();
await cobrancas();
await stripe();
await asaas();
