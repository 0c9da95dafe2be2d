// Reads the Pix codes of every simulator with an independent library.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import pix from 'pix-utils'

const { EFI_URL, EFI_COBRANCAS_URL, STRIPE_URL, ASAAS_URL } = process.env
for (const [name, value] of Object.entries({ EFI_URL, EFI_COBRANCAS_URL, STRIPE_URL, ASAAS_URL })) assert.ok(value, `${name} is not set`)
// the library's exports leave out a dynamic code's amount; its own parser of tags returns it
const require = createRequire(import.meta.url)
const { parseEmv } = require('./node_modules/pix-utils/dist/main/emvHandler.js')

const LOCATION_MAX = 77

// Checks that the code is a dynamic one with this amount in reais. Returns its location.
const locationOf = (code, amount) => {
  const read = pix.parsePix(code)
  assert.ok(!pix.hasError(read), `${read.message}: ${code}`)
  assert.equal(read.type, pix.PixElementType.DYNAMIC)
  assert.deepEqual([read.transactionCurrency, read.countryCode], ['986', 'BR'])
  const tags = parseEmv({ emvCode: code })
  assert.equal(tags.getTag(54), amount)
  assert.equal(tags.getSubTag(25, 26), read.url)
  assert.match(read.url, /^[a-z0-9.-]+\.[a-z]{2,}\/\S+$/, 'a host and a path, without a scheme')
  assert.ok(read.url.length <= LOCATION_MAX, read.url)
  // a change of one character must be detected
  const last = code.endsWith('0') ? '1' : '0'
  assert.equal(pix.parsePix(code.slice(0, -1) + last).message, 'invalid crc')
  return read.url
}

const call = async (base, path, { method = 'GET', headers = {}, json, form } = {}) => {
  const content = json ? 'application/json' : form && 'application/x-www-form-urlencoded'
  const body = json ? JSON.stringify(json) : form && new URLSearchParams(form)
  const answer = await fetch(new URL(path, base), { method, body, headers: { ...(content && { 'content-type': content }), ...headers } })
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${answer.ok || (await answer.text())}`)
  return answer.json()
}

const bearer = async (base, path) => {
  const pair = Buffer.from('Client_Id_code:Client_Secret_code').toString('base64')
  const headers = { authorization: `Basic ${pair}` }
  const { access_token } = await call(base, path, { method: 'POST', headers, json: { grant_type: 'client_credentials' } })
  return { authorization: `Bearer ${access_token}` }
}

const inDays = (days) => new Date(Date.now() + days * 24 * 3600 * 1000).toISOString().slice(0, 10)

// Efí, API Pix: the code contains the charge's own location, in every answer
{
  const headers = await bearer(EFI_URL, '/oauth/token')
  const chave = '71cdf9ba-c695-4e3c-b010-abb521a3f1be'
  const devedor = { cpf: '12345678909', nome: 'Francisco da Silva' }
  const address = { logradouro: 'Av. JK, 909', cidade: 'Ouro Preto', uf: 'MG', cep: '35400000' }
  const kinds = {
    cob: { calendario: { expiracao: 3600 }, devedor },
    cobv: { calendario: { dataDeVencimento: inDays(10), validadeAposVencimento: 30 }, devedor: { ...devedor, ...address } },
  }
  for (const [kind, order] of Object.entries(kinds)) {
    const path = `/v2/${kind}/${randomBytes(16).toString('hex')}`
    const made = await call(EFI_URL, path, { method: 'PUT', headers, json: { ...order, chave, valor: { original: '123.45' } } })
    const location = locationOf(made.pixCopiaECola, '123.45')
    assert.deepEqual([made.location, made.loc.location], [location, location])
    assert.equal((await call(EFI_URL, path, { headers })).pixCopiaECola, made.pixCopiaECola)
    const { qrcode } = await call(EFI_URL, `/v2/loc/${made.loc.id}/qrcode`, { headers })
    assert.equal(qrcode, made.pixCopiaECola)
  }
}

// Efí, API Cobranças: the Pix code of a boleto
{
  const headers = await bearer(EFI_COBRANCAS_URL, '/v1/authorize')
  const address = { street: 'Av. JK', number: '909', neighborhood: 'Bauxita', zipcode: '35400000', city: 'Ouro Preto', complement: '', state: 'MG' }
  const customer = { name: 'Gorbadoc Oldbuck', cpf: '94271564656', email: 'a@b.com', phone_number: '5144916523', address }
  const json = { items: [{ name: 'Pedido 123', value: 6789, amount: 2 }], payment: { banking_billet: { customer, expire_at: inDays(10) } } }
  const { data } = await call(EFI_COBRANCAS_URL, '/v1/charge/one-step', { method: 'POST', headers, json })
  locationOf(data.pix.qrcode, '135.78')
}

// Stripe
{
  const form = {
    amount: '98765', currency: 'brl', confirm: 'true', 'payment_method_types[0]': 'pix', 'payment_method_data[type]': 'pix',
    'payment_method_data[billing_details][name]': 'Fulano', 'payment_method_data[billing_details][email]': 'a@b.com',
  }
  const headers = { authorization: 'Bearer sk_test_code' }
  const intent = await call(STRIPE_URL, '/v1/payment_intents', { method: 'POST', headers, form })
  const code = intent.next_action.pix_display_qr_code.data
  locationOf(code, '987.65')
  const again = await call(STRIPE_URL, `/v1/payment_intents/${intent.id}`, { headers })
  assert.equal(again.next_action.pix_display_qr_code.data, code)
}

// Asaas: the code of a Pix, and of a boleto, which can be paid by Pix as well
{
  const headers = { access_token: '$aact_hmlg_code', 'user-agent': 'br-code-check' }
  const person = { name: 'Francisca da Silva', cpfCnpj: '52998224725' }
  const { id: customer } = await call(ASAAS_URL, '/v3/customers', { method: 'POST', headers, json: person })
  for (const [billingType, value, amount] of [['PIX', 100, '100.00'], ['BOLETO', 98.01, '98.01']]) {
    const json = { customer, billingType, value, dueDate: inDays(5) }
    const { id } = await call(ASAAS_URL, '/v3/payments', { method: 'POST', headers, json })
    const read = () => call(ASAAS_URL, `/v3/payments/${id}/pixQrCode`, { headers })
    const { payload } = await read()
    locationOf(payload, amount)
    assert.equal((await read()).payload, payload)
  }
}
