//! Plan of a run, drawn from its seed.

use chrono::{DateTime, TimeDelta, Utc};
use schemas::{calendar, charge::CreateCharge, id::MerchantId};
use serde_json::{Value, json};

use uuid::Uuid;

use super::{
    actors::Order,
    borders::Borders,
    wire::{GATEWAYS, Weather},
};

/// An event of a run.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A merchant sends an order: its number, and the number of earlier sends.
    Create(usize, u32),
    Cancel,
    Refund,
    /// A payer pays a payable instrument.
    Pay,
    Dispute,
    CloseDispute,
    DashboardRefund,
    DashboardCancel,
    DashboardRestore,
    DashboardCash,
    DashboardUndoCash,
    /// An unproved notification arrives.
    Hint,
    /// A gateway's notification arrives: gateway, number, earlier tries.
    Notify(usize, usize, u32),
    Weather(usize, Weather),
    Temporal {
        away: bool,
    },
    /// A worker releases the attempt that it accepted with a charge, because the start was not eager: worker, charge.
    Leave(usize, Uuid),
    /// A worker dies with all its tasks.
    Die(usize),
    Sweep,
    Poll,
    Check,
}

/// Hardships of a run, and its number of charges.
#[derive(Clone, Copy, Debug)]
pub struct Hardship {
    /// Actions in gateways' panels: deletions, restorations, cash.
    pub dashboards: bool,
    pub crashes: bool,
    pub faults: bool,
    pub charges: u64,
}

impl Default for Hardship {
    fn default() -> Self {
        Self {
            dashboards: true,
            crashes: true,
            faults: true,
            charges: 5,
        }
    }
}

pub(super) struct Merchant {
    pub id: MerchantId,
}

#[derive(Default)]
pub(super) struct Plan {
    pub orders: Vec<Order>,
    pub happenings: Vec<(DateTime<Utc>, Happening)>,
    /// Time from which there are no more faults.
    pub healed_at: DateTime<Utc>,
    /// Number of dropped activities per thousand, and of paused ones.
    pub crashes: u64,
    pub pauses: u64,
    /// Number of activities per thousand that yield to others within a transaction.
    pub interleaved: u64,
    /// Number of notifications per thousand that are lost; the same for doubled and for late ones.
    pub mail: u64,
}

/// Length of an outage; longer than the first wait of an open breaker.
const COMEBACK: TimeDelta = TimeDelta::seconds(45);

/// Kinds of events after a charge's creation; the usual ones are more frequent.
const LIFE: [Happening; 12] = [
    Happening::Pay,
    Happening::Pay,
    Happening::Pay,
    Happening::Pay,
    Happening::Pay,
    Happening::Cancel,
    Happening::Cancel,
    Happening::Refund,
    Happening::Refund,
    Happening::DashboardRefund,
    Happening::Dispute,
    Happening::Hint,
];
const DASHBOARDS: [Happening; 5] = [
    Happening::DashboardCancel,
    Happening::DashboardRestore,
    Happening::DashboardCash,
    Happening::DashboardUndoCash,
    Happening::DashboardRestore,
];

/// Distribution of the merchants' sales over time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Spread,
    /// All at once.
    Burst,
    /// Some within an outage, and the others at once when it ends.
    Comeback,
}

/// State of the drawing of a plan.
struct Drawing<'a> {
    borders: &'a Borders,
    hardship: Hardship,
    now: DateTime<Utc>,
    shape: Shape,
    window_s: u64,
    plan: Plan,
}

pub(super) fn draw(borders: &Borders, merchants: &[Merchant], hardship: Hardship) -> Plan {
    let now = borders.now();
    // most events happen within minutes, some within half a day
    let window_s = *borders.pick(&[60, 600, 7_200, 40_000]).unwrap_or(&600);
    let shape = match borders.draw(10) {
        0 | 1 if hardship.faults => Shape::Comeback,
        3 | 4 => Shape::Burst,
        _ => Shape::Spread,
    };
    let often = |wanted: bool, all: &[u64]| {
        let drawn = borders.pick(all).copied().unwrap_or(0);
        if wanted { drawn } else { 0 }
    };
    let mut healed_at = now + TimeDelta::seconds(i64::try_from(window_s).unwrap_or(600));
    if shape == Shape::Comeback {
        healed_at = healed_at.max(now + COMEBACK * 2);
    }
    let plan = Plan {
        healed_at,
        crashes: often(hardship.crashes, &[0, 20, 100]),
        pauses: often(hardship.crashes, &[0, 10, 50]),
        interleaved: often(hardship.crashes, &[0, 100, 400]),
        mail: often(hardship.faults, &[0, 100, 300]),
        ..Plan::default()
    };
    let mut drawing = Drawing {
        borders,
        hardship,
        now,
        shape,
        window_s,
        plan,
    };
    drawing.purchases(merchants);
    drawing.background();
    drawing.plan.happenings.retain(|(at, _)| *at <= healed_at);
    drawing.afterwards();
    drawing.plan
}

impl Drawing<'_> {
    fn seconds(&self, limit_s: u64) -> TimeDelta {
        TimeDelta::seconds(i64::try_from(self.borders.draw(limit_s)).unwrap_or(0))
    }

    fn push(&mut self, at: DateTime<Utc>, what: Happening) {
        self.plan.happenings.push((at, what));
    }

    fn purchases(&mut self, merchants: &[Merchant]) {
        let borders = self.borders;
        let first = borders.pick(merchants).expect("merchants");
        let second = borders.pick(merchants).expect("merchants");
        for n in 0..self.hardship.charges + borders.draw(4) {
            let alone = self.shape == Shape::Comeback || borders.chance(750);
            let merchant = if alone { first } else { second };
            let repeats = borders.chance(150);
            let order = match borders.pick(&self.plan.orders) {
                Some(earlier) if repeats => earlier.clone(),
                _ => order(borders, merchant, n),
            };
            let at = match (self.shape, n) {
                (Shape::Comeback, 0 | 1) => self.now + self.seconds(5),
                (Shape::Comeback, _) => self.now + COMEBACK + self.seconds(2) / 4,
                (Shape::Burst, _) => self.now,
                (Shape::Spread, _) => self.now + self.seconds(self.window_s / 2),
            };
            self.push(at, Happening::Create(self.plan.orders.len(), 0));
            self.plan.orders.push(order);
            self.life(at);
        }
    }

    /// Draws the events of a charge from its creation on.
    fn life(&mut self, from: DateTime<Utc>) {
        for _ in 0..=self.borders.draw(2) {
            let dashboards = self.hardship.dashboards && self.borders.chance(250);
            let all = if dashboards {
                &DASHBOARDS[..]
            } else {
                &LIFE[..]
            };
            if let Some(what) = self.borders.pick(all) {
                let within = [5, 120, self.window_s];
                let wait = self.seconds(*self.borders.pick(&within).unwrap_or(&120));
                self.push(from + wait, what.clone());
            }
        }
        if self.borders.chance(100) {
            let wait = self.seconds(self.window_s);
            self.push(from + wait, Happening::CloseDispute);
        }
    }

    fn background(&mut self) {
        if self.shape == Shape::Comeback {
            for gateway in 0..GATEWAYS.len() {
                self.push(self.now, Happening::Weather(gateway, Weather::Ill));
                let over = self.now + COMEBACK - TimeDelta::seconds(1);
                self.push(over, Happening::Weather(gateway, Weather::Flaky(0)));
            }
        } else if self.hardship.faults {
            troubles(self.borders, &mut self.plan, self.window_s);
        }
        for what in [Happening::Sweep, Happening::Poll] {
            for _ in 0..2 {
                let at = self.now + self.seconds(self.window_s);
                self.push(at, what.clone());
            }
        }
        if self.borders.chance(100) {
            let at = self.now + self.seconds(self.window_s);
            self.push(at, Happening::Check);
        }
    }

    /// Draws events after the end of the faults.
    fn afterwards(&mut self) {
        for _ in 0..2 {
            if let Some(what) = self.borders.pick(&LIFE) {
                let at = self.plan.healed_at + TimeDelta::seconds(60) + self.seconds(800);
                self.push(at, what.clone());
            }
        }
    }
}

fn troubles(borders: &Borders, plan: &mut Plan, window: u64) {
    let now = borders.now();
    let seconds =
        |limit_s: u64| TimeDelta::seconds(i64::try_from(borders.draw(limit_s)).unwrap_or(0));
    let background = *borders.pick(&[0, 20, 100, 300]).unwrap_or(&0);
    for gateway in 0..GATEWAYS.len() {
        plan.happenings
            .push((now, Happening::Weather(gateway, Weather::Flaky(background))));
        if borders.chance(350) {
            let kinds = [
                Weather::Down,
                Weather::Ill,
                Weather::Hanging,
                Weather::Refusing,
                Weather::Flaky(700),
            ];
            let weather = *borders.pick(&kinds).unwrap_or(&Weather::Down);
            let begins = now + seconds(window / 2);
            let ends = begins + seconds(window / 2) + TimeDelta::seconds(5);
            plan.happenings
                .push((begins, Happening::Weather(gateway, weather)));
            plan.happenings.push((
                ends,
                Happening::Weather(gateway, Weather::Flaky(background)),
            ));
        }
    }
    if borders.chance(150) {
        let begins = now + seconds(window / 2);
        plan.happenings
            .push((begins, Happening::Temporal { away: true }));
        let ends = begins + seconds(window / 2);
        plan.happenings
            .push((ends, Happening::Temporal { away: false }));
    }
    if plan.crashes > 0 {
        for _ in 0..borders.draw(3) {
            let worker = usize::from(borders.chance(500));
            plan.happenings
                .push((now + seconds(window), Happening::Die(worker)));
        }
    }
}

fn order(borders: &Borders, merchant: &Merchant, n: u64) -> Order {
    let day = calendar::today(borders.now()) + chrono::Days::new(borders.draw(4) + 1);
    let due = calendar::business_day_from(day).to_string();
    let lives = *borders.pick(&[300, 3_600, 86_400]).unwrap_or(&3_600);
    let pages = json!({
        "type": "card", "success_url": "https://shop.example.com/ok", "cancel_url": "https://shop.example.com/no",
        "expires_in": lives.max(1_800),
    });
    let method: Value = match borders.draw(10) {
        0..4 => json!({ "type": "pix", "expires_in": lives }),
        4 => {
            json!({ "type": "pix", "due": { "due_date": due, "days_after_due": borders.draw(3) } })
        }
        5..8 => json!({ "type": "boleto", "due_date": due, "days_after_due": borders.draw(3) }),
        _ => pages,
    };
    let amount = 1_000 + i64::try_from(borders.draw(50_000)).unwrap_or(0);
    let reference = borders
        .chance(400)
        .then(|| format!("order-{}", borders.draw(3)));
    let mut request = json!({
        "amount": amount, "description": format!("Pedido {n}"), "payer": payer(), "payment_method": method,
    });
    if let Some(reference) = reference {
        request["reference"] = reference.into();
    }
    let request: CreateCharge = serde_json::from_value(request).expect("a request");
    Order {
        merchant: merchant.id,
        key: format!("key-{n}"),
        request,
    }
}

fn payer() -> Value {
    json!({
        "name": "Maria Quiteria", "document": "52998224725", "email": "quiteria@example.com", "phone": "11987654321",
        "address": {
            "street": "Avenida Paulista", "number": "1000", "district": "Bela Vista", "city": "Sao Paulo", "state": "SP",
            "postal_code": "01310100",
        },
    })
}
