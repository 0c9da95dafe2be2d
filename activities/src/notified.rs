//! What gateways tell us, and what we read in their own lists: matched to our charges, and left for their next look.

use gateways::{GatewayNotice, Means};
use schemas::id::{ChargeId, ConnectionId, MerchantId};
use store::{
    StoreError,
    connections::{self, Connection},
    notifications::{
        self, Notice, Source, Stored,
        kept::{self, Kept},
    },
    tokens::{self, Token},
};

use crate::{Activities, delta};

/// Between tries to fetch what a token stands for; then it is left to a person. The gateway repeats the token meanwhile.
const TOKEN_AGAIN_S: [u64; 6] = [2, 10, 60, 600, 3_600, 86_400];
/// The most tokens that are fetched in one go.
const TOKENS: i64 = 50;

/// What came of taking notices.
#[derive(Debug, Default)]
pub struct Told {
    /// The charges that must look at their facts.
    pub charges: Vec<ChargeId>,
    /// Whether there are tokens whose meaning must be fetched.
    pub has_tokens: bool,
    /// Whether all of it was about the merchant's other business.
    pub is_foreign: bool,
}

/// What came of reading kept bodies again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replayed {
    pub read: u64,
    pub unreadable: u64,
}

impl Activities {
    /// Stores what a connection's gateway stated.
    pub async fn take_notices(
        &self,
        from: &Connection,
        source: Source<'_>,
        read: Vec<GatewayNotice>,
    ) -> Result<Told, StoreError> {
        let (mut given, mut notices) = (Vec::new(), Vec::new());
        for notice in read {
            match &notice.means {
                Means::Token(token) => given.push(token.clone()),
                _ => notices.push(stored(notice)?),
            }
        }
        let mut tx = self.store.pool.begin().await?;
        for token in &given {
            tokens::told(&mut tx, from, token).await?;
        }
        let Stored {
            charges,
            foreign,
            stray,
        } = notifications::record(&mut tx, &self.store, from, source, &notices).await?;
        tx.commit().await?;
        if stray > 0 {
            tracing::warn!(connection = %from.id, stray, "a notification's reference is ours by its shape, and unknown");
        }
        Ok(Told {
            is_foreign: charges.is_empty() && given.is_empty() && foreign > 0,
            has_tokens: !given.is_empty(),
            charges,
        })
    }

    /// Reads kept bodies again, as if their gateways told them anew: after something was mended that could not read them, or
    /// could not act on them. The answer is how many were read, and how many still cannot be.
    pub async fn replay(&self, filter: &kept::Filter) -> Result<Replayed, StoreError> {
        let mut replayed = Replayed::default();
        let mut after = None;
        loop {
            let mut db = self.store.pool.acquire().await?;
            let page = kept::page(&mut db, &self.store, filter, after).await?;
            drop(db);
            let Some(last) = page.last() else {
                return Ok(replayed);
            };
            after = Some(last.id);
            for body in &page {
                if self.replay_one(body).await? {
                    replayed.read += 1;
                } else {
                    replayed.unreadable += 1;
                }
            }
        }
    }

    async fn replay_one(&self, body: &Kept) -> Result<bool, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let Some(from) = connections::find(&mut db, body.connection).await? else {
            return Ok(false);
        };
        let gateway = self.accounts.open(&mut db, body.connection).await?;
        drop(db);
        let Ok(notices) = gateway.reread(&body.body) else {
            return Ok(false);
        };
        let told = self
            .take_notices(&from, Source::Again(body.id), notices)
            .await?;
        let mut db = self.store.pool.acquire().await?;
        kept::readable(&mut db, body.id).await?;
        drop(db);
        for charge in told.charges {
            self.starter.poke_charge(from.merchant, charge).await;
        }
        Ok(true)
    }

    /// Asks what a connection's tokens stand for now, and once more for one that was told again while it rests.
    pub async fn fetch_tokens_soon(&self, connection: ConnectionId) -> Result<(), StoreError> {
        self.fetch_tokens(Some(connection)).await?;
        gateways::outside::sleep(tokens::REST).await;
        self.fetch_tokens(Some(connection)).await
    }

    /// Asks the gateways what tokens stand for, of one connection or of all, and pokes the charges concerned.
    pub async fn fetch_tokens(&self, connection: Option<ConnectionId>) -> Result<(), StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let due = tokens::due(&mut db, connection, TOKENS).await?;
        drop(db);
        for token in due {
            for (merchant, charge) in Box::pin(self.fetch_token(&token)).await? {
                self.starter.poke_charge(merchant, charge).await;
            }
        }
        Ok(())
    }

    pub(crate) async fn fetch_token(
        &self,
        token: &Token,
    ) -> Result<Vec<(MerchantId, ChargeId)>, StoreError> {
        let mut db = self.store.pool.acquire().await?;
        let Some(from) = connections::find(&mut db, token.connection).await? else {
            return Ok(Vec::new());
        };
        let gateway = self.accounts.open(&mut db, token.connection).await?;
        drop(db);
        match gateway.fetch(&token.token).await {
            Ok(notices) => {
                let told = self.take_notices(&from, Source::Listed, notices).await?;
                let mut db = self.store.pool.acquire().await?;
                tokens::fetched(&mut db, token).await?;
                let charges = told.charges.into_iter();
                Ok(charges.map(|charge| (from.merchant, charge)).collect())
            }
            Err(error) => {
                tracing::warn!(connection = %from.id, gateway = %from.gateway, %error, "could not fetch what a notification stands for");
                let looks = usize::try_from(token.looks).unwrap_or(usize::MAX);
                let pause = TOKEN_AGAIN_S
                    .get(looks)
                    .map(|s| delta(std::time::Duration::from_secs(*s)));
                let mut db = self.store.pool.acquire().await?;
                tokens::again(&mut db, token, pause).await?;
                Ok(Vec::new())
            }
        }
    }
}

/// A notice as it is stored.
fn stored(read: GatewayNotice) -> Result<Notice, StoreError> {
    let observed = read
        .means
        .observed()
        .map(serde_json::to_value)
        .transpose()
        .map_err(|why| StoreError::corrupt("notification_facts.observed", why))?;
    Ok(Notice {
        matters: read.means != Means::Nothing,
        dedupe_key: read.dedupe_key,
        event: read.event,
        reference: read.reference,
        gateway_charge: read.charge,
        gateway_payment: read.payment,
        observed,
    })
}
