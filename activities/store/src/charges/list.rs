//! Pages of a merchant's charges.

use schemas::{
    charge::{Charge, ChargeStatus},
    gateway::Mode,
    id::MerchantId,
};
use sqlx::PgConnection;

use super::view::views;
use crate::{Store, StoreError, page::Range};

/// Filter of a list of charges.
#[derive(Clone, Debug, Default)]
pub struct ChargeFilter {
    pub reference: Option<String>,
    pub status: Option<ChargeStatus>,
}

/// Returns a page of charges, newest first, and true if more follow. Omits a charge that this version cannot read.
pub async fn list(
    db: &mut PgConnection,
    store: &Store,
    (merchant, mode): (MerchantId, Mode),
    filter: &ChargeFilter,
    range: Range,
) -> Result<(Vec<Charge>, bool), StoreError> {
    let ids = sqlx::query_scalar!(
        "select id from charges
          where merchant_id = $1 and mode = $2
            and ($3::text is null or reference = $3) and ($4::text is null or status = $4)
            and ($5::uuid is null or id < $5) and ($6::uuid is null or id > $6)
          order by case when $6::uuid is null then id end desc, case when $6::uuid is not null then id end
          limit $7",
        merchant.uuid(),
        mode.as_ref(),
        filter.reference,
        filter.status.map(|status| status.as_ref().to_owned()),
        range.after,
        range.before,
        range.fetch(),
    )
    .fetch_all(&mut *db)
    .await?;
    let (ids, more) = range.cut(ids);
    let found = views(db, store, merchant, mode, &ids).await?;
    let mut charges: Vec<_> = found
        .into_iter()
        .filter_map(|charge| {
            charge
                .inspect_err(|error| tracing::error!(%error, "a charge is left out of a list"))
                .ok()
        })
        .collect();
    charges.sort_by_key(|charge| std::cmp::Reverse(charge.id));
    Ok((charges, more))
}
