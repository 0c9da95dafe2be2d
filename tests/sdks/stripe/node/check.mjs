// Runs Stripe's official SDK for Node against the simulator.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import Stripe from 'stripe'

const url = new URL(process.env.STRIPE_URL)
const stripe = new Stripe('sk_test_node', { host: url.hostname, port: url.port, protocol: 'http', maxNetworkRetries: 1 })

const act = async (charge, action, how = {}) => {
  const answer = await fetch(new URL(`/_sim/stripe/charges/${charge}/${action}`, url), {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(how),
  })
  assert.equal(answer.status, 200, await answer.text())
}

// the merchant's address: stores the raw bodies that it receives
const told = []
const server = createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  told.push({ body: Buffer.concat(chunks), signature: request.headers['stripe-signature'] })
  response.end()
  server.emit('told')
}).listen(0, '127.0.0.1')
await once(server, 'listening')

const endpoint = await stripe.webhookEndpoints.create({
  url: `http://127.0.0.1:${server.address().port}/hooks`, enabled_events: ['payment_intent.succeeded', 'charge.dispute.created'],
})
assert.match(endpoint.secret, /^whsec_/)

// Pix
const order = {
  amount: 12345, currency: 'brl', payment_method_types: ['pix'], confirm: true, metadata: { reference: 'node-pix' },
  payment_method_data: { type: 'pix', billing_details: { name: 'Fulano', email: 'a@b.com' } },
  payment_method_options: { pix: { expires_after_seconds: 3600 } },
}
const pix = await stripe.paymentIntents.create(order, { idempotencyKey: 'node-pix' })
assert.equal(pix.next_action.pix_display_qr_code.data.slice(0, 6), '000201')
const again = await stripe.paymentIntents.create(order, { idempotencyKey: 'node-pix' })
assert.equal(again.id, pix.id)
await assert.rejects(stripe.paymentIntents.create({ ...order, amount: 1000 }, { idempotencyKey: 'node-pix' }), Stripe.errors.StripeIdempotencyError)
await act(pix.id, 'pay')
if (told.length === 0) await once(server, 'told')
const event = stripe.webhooks.constructEvent(told[0].body, told[0].signature, endpoint.secret)
assert.equal(event.data.object.id, pix.id)
assert.throws(() => stripe.webhooks.constructEvent(told[0].body, told[0].signature, 'whsec_other'))
const paid = await stripe.paymentIntents.retrieve(pix.id, { expand: ['latest_charge.balance_transaction'] })
assert.equal(paid.latest_charge.balance_transaction.net, 12199)

// refunds and disputes
const refund = await stripe.refunds.create({ payment_intent: pix.id, amount: 345, reason: 'requested_by_customer' })
assert.equal((await stripe.refunds.retrieve(refund.id)).amount, 345)
await assert.rejects(stripe.refunds.create({ payment_intent: pix.id, amount: 99999 }), Stripe.errors.StripeInvalidRequestError)
await act(pix.id, 'dispute')
const [dispute] = (await stripe.disputes.list({ payment_intent: pix.id })).data
assert.equal((await stripe.disputes.retrieve(dispute.id)).charge, paid.latest_charge.id)

// boleto
const boleto = await stripe.paymentIntents.create({
  amount: 5000, currency: 'brl', payment_method_types: ['boleto'], confirm: true,
  payment_method_data: {
    type: 'boleto', boleto: { tax_id: '52998224725' },
    billing_details: {
      name: 'Fulano', email: 'a@b.com',
      address: { line1: 'Rua A, 1', city: 'São Paulo', state: 'SP', postal_code: '01001000', country: 'BR' },
    },
  },
})
assert.equal(boleto.next_action.boleto_display_details.number.length, 47)
assert.equal((await stripe.paymentIntents.cancel(boleto.id, { cancellation_reason: 'abandoned' })).status, 'canceled')
await assert.rejects(stripe.paymentIntents.cancel(boleto.id), { code: 'payment_intent_unexpected_state' })

// card
const page = {
  mode: 'payment', success_url: 'https://shop/ok', client_reference_id: 'node-card', payment_method_types: ['card'],
  payment_method_options: { card: { installments: { enabled: true } } },
  line_items: [{ quantity: 2, price_data: { currency: 'brl', unit_amount: 500, product_data: { name: 'Pedido' } } }],
}
const session = await stripe.checkout.sessions.create(page)
assert.equal(session.amount_total, 1000)
await act(session.id, 'pay')
assert.equal((await stripe.checkout.sessions.retrieve(session.id)).payment_status, 'paid')
const other = await stripe.checkout.sessions.create(page)
assert.equal((await stripe.checkout.sessions.expire(other.id)).status, 'expired')

// lists, by the SDK's own paging
const walked = []
for await (const intent of stripe.paymentIntents.list({ limit: 1 })) walked.push(intent.id)
assert.equal(walked.length, 3)
const events = await stripe.events.list({ type: 'checkout.session.expired' })
assert.equal(events.data[0].data.object.id, other.id)
assert.equal((await stripe.events.retrieve(event.id)).type, event.type)
assert.equal((await stripe.balance.retrieve()).object, 'balance')
await stripe.webhookEndpoints.del(endpoint.id)
await assert.rejects(new Stripe('sk_test_revoked', { host: url.hostname, port: url.port, protocol: 'http' }).balance.retrieve(), Stripe.errors.StripeAuthenticationError)
server.close()
server.closeAllConnections()
