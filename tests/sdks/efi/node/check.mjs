// Runs Efí's official SDK against the simulator as against Efí: create, find, get paid, refund, receive notifications.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const { CONTROL_URL, EFI_TLS_URL, EFI_COBRANCAS_URL, CERTIFICATES } = process.env;
for (const [name, value] of Object.entries({ CONTROL_URL, EFI_TLS_URL, CERTIFICATES })) {
  assert.ok(value, `${name} is not set`);
}

// Node reads additional authorities only at its start, and the SDK accepts none.
const authority = join(CERTIFICATES, "ca.pem");
if (process.env.NODE_EXTRA_CA_CERTS !== authority) {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: authority, NO_PROXY: "127.0.0.1,localhost" };
  const again = spawnSync(process.execPath, [fileURLToPath(import.meta.url)], { env, stdio: "inherit" });
  process.exit(again.status ?? 1);
}

const { default: EfiPay } = await import("sdk-node-apis-efi");
// The package exports no base URLs; they are in its file of constants.
const { endpoints } = await import("./node_modules/sdk-node-apis-efi/dist/esm/constants/endpoints.js");
const base = (url) => url.replace(/\/$/, "");
endpoints.APIS.PIX.URL.SANDBOX = base(EFI_TLS_URL);
if (EFI_COBRANCAS_URL) endpoints.APIS.DEFAULT.URL.SANDBOX = base(EFI_COBRANCAS_URL);

const client = join(CERTIFICATES, "client.pem");
const efi = new EfiPay({
  sandbox: true,
  client_id: "Client_Id_sdk",
  client_secret: "Client_Secret_sdk",
  certificate: client,
  pemKey: client,
});
const key = "71cdf9ba-c695-4e3c-b010-abb521a3f1be";
const day = 24 * 3600 * 1000;
const period = {
  inicio: new Date(Date.now() - day).toISOString(),
  fim: new Date(Date.now() + day).toISOString(),
};

const control = async (gateway, path, body) => {
  const answer = await fetch(`${base(CONTROL_URL)}/_sim/${gateway}/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.text()}`);
};

const order = {
  calendario: { expiracao: 3600 },
  devedor: { cpf: "12345678909", nome: "Francisco da Silva" },
  valor: { original: "123.45" },
  chave: key,
  solicitacaoPagador: "Pedido 123",
};

async function aChargeIsCreatedAndFound() {
  const txid = randomBytes(16).toString("hex");
  const made = await efi.pixCreateCharge({ txid }, order);
  assert.equal(made.status, "ATIVA");
  assert.equal(made.txid, txid);
  assert.match(made.pixCopiaECola, /^000201.*6304[0-9A-F]{4}$/);
  assert.deepEqual((await efi.pixDetailCharge({ txid })).valor, { original: "123.45" });
  const { cobs } = await efi.pixListCharges(period);
  assert.ok(cobs.some((cob) => cob.txid === txid));
  const picked = await efi.pixCreateImmediateCharge(order);
  assert.match(picked.txid, /^[a-zA-Z0-9]{26,35}$/);
  const { qrcode, imagemQrcode } = await efi.pixGenerateQRCode({ id: made.loc.id });
  assert.equal(qrcode, made.pixCopiaECola);
  assert.match(imagemQrcode, /^data:image\/(png|svg\+xml);base64,/);
  await assert.rejects(efi.pixCreateCharge({ txid }, order), { nome: "txid_duplicado" });
  return txid;
}

async function aPaymentIsSeen(txid) {
  await control("efi", `charges/${txid}/pay`, {});
  const { status, pix } = await efi.pixDetailCharge({ txid });
  assert.equal(status, "CONCLUIDA");
  const e2eId = pix[0].endToEndId;
  assert.match(e2eId, /^E[a-zA-Z0-9]{31}$/);
  assert.equal((await efi.pixDetailReceived({ e2eId })).valor, "123.45");
  const received = await efi.pixReceivedList({ ...period, txid });
  assert.deepEqual(received.pix.map((one) => one.endToEndId), [e2eId]);
  return e2eId;
}

async function aPartIsGivenBack(e2eId) {
  const id = "r0001";
  const refund = await efi.pixDevolution({ e2eId, id }, { valor: "7.89" });
  assert.equal(refund.valor, "7.89");
  assert.match(refund.rtrId, /^D[a-zA-Z0-9]{31}$/);
  const detail = await efi.pixDetailDevolution({ e2eId, id });
  assert.ok(["EM_PROCESSAMENTO", "DEVOLVIDO"].includes(detail.status), detail.status);
}

async function aChargeIsCancelled() {
  const { txid } = await efi.pixCreateImmediateCharge(order);
  const removed = { status: "REMOVIDA_PELO_USUARIO_RECEBEDOR" };
  const changed = await efi.pixUpdateCharge({ txid }, removed);
  assert.equal(changed.status, removed.status);
  assert.equal(changed.revisao, 1);
}

async function aWebhookIsConfigured() {
  const chave = key;
  const webhookUrl = "https://merchant.example/hooks/efi?hmac=secret&ignorar=";
  const skip = { "x-skip-mtls-checking": "true" };
  assert.equal((await efi.pixConfigWebhook({ chave }, { webhookUrl }, skip)).webhookUrl, webhookUrl);
  assert.equal((await efi.pixDetailWebhook({ chave })).webhookUrl, webhookUrl);
  const { webhooks } = await efi.pixListWebhook(period);
  assert.ok(webhooks.some((one) => one.chave === chave));
  await efi.pixDeleteWebhook({ chave });
  await assert.rejects(efi.pixDetailWebhook({ chave }));
}

const billetDue = new Date(Date.now() + 10 * day).toISOString().slice(0, 10);
const items = [{ name: "Pedido 123", value: 12345, amount: 1 }];

async function aBoletoIsMadeInOneStep() {
  const custom_id = randomBytes(16).toString("hex");
  const address = {
    street: "Av. JK", number: "909", neighborhood: "Bauxita", zipcode: "35400000",
    city: "Ouro Preto", complement: "", state: "MG",
  };
  const customer = {
    name: "Gorbadoc Oldbuck", cpf: "94271564656", email: "a@b.com", phone_number: "5144916523", address,
  };
  const body = {
    items, metadata: { custom_id }, payment: { banking_billet: { customer, expire_at: billetDue } },
  };
  const { code, data } = await efi.createOneStepCharge(body);
  assert.equal(code, 200);
  assert.deepEqual([data.status, data.total, data.payment], ["waiting", 12345, "banking_billet"]);
  const detail = (await efi.detailCharge({ id: data.charge_id })).data;
  assert.equal(detail.custom_id, custom_id);
  await control("efi_cobrancas", `charges/${data.charge_id}/pay`, {});
  assert.equal((await efi.detailCharge({ id: data.charge_id })).data.status, "paid");
}

async function aLinkIsMadeAndCancelled() {
  const settings = { payment_method: "credit_card", expire_at: billetDue, request_delivery_address: false };
  const { data } = await efi.createOneStepLink({ items, settings });
  assert.equal(data.status, "link");
  assert.match(data.payment_url, /^https:\/\//);
  const id = data.charge_id;
  await efi.cancelCharge({ id });
  assert.equal((await efi.detailCharge({ id })).data.status, "canceled");
}

const txid = await aChargeIsCreatedAndFound();
await aPartIsGivenBack(await aPaymentIsSeen(txid));
await aChargeIsCancelled();
await aWebhookIsConfigured();
console.log("Efí's Node SDK: API Pix agrees");
if (EFI_COBRANCAS_URL) {
  await aBoletoIsMadeInOneStep();
  await aLinkIsMadeAndCancelled();
  console.log("Efí's Node SDK: API Cobranças agrees");
}
