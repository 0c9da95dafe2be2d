//! Transactions whose beginning is completed even if nobody waits for it any more.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use sqlx::Transaction;
use tokio::runtime::Handle;

use crate::{Store, Tx};

type Begun = Result<Tx, sqlx::Error>;

impl Store {
    /// Begins a transaction on a connection of the pool.
    ///
    /// sqlx returns a connection whose `BEGIN` was dropped half-way to the pool without a rollback, and the next user's statements
    /// would belong to that transaction. Here a `BEGIN` that was sent is completed, and then rolled back.
    pub async fn begin(&self) -> Begun {
        let connection = self.pool.acquire().await?;
        Completed(Some(Transaction::begin(connection, None))).await
    }
}

/// A future that goes on by itself when it is dropped.
struct Completed(Option<BoxFuture<'static, Begun>>);

impl Future for Completed {
    type Output = Begun;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Begun> {
        let Some(begin) = &mut self.0 else {
            return Poll::Pending;
        };
        let begun = begin.poll_unpin(context);
        if begun.is_ready() {
            self.0 = None;
        }
        begun
    }
}

impl Drop for Completed {
    fn drop(&mut self) {
        if let Some(begin) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(begin.map(drop));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        testing::{connect, migrated, run, texts},
        vault::DataKey,
    };

    #[tokio::test]
    async fn a_transaction_dropped_while_it_begins_takes_no_later_statement_with_it() {
        let url = migrated().await;
        let store = Store::connect(&url, DataKey::random(), 1)
            .await
            .expect("a store");
        let (merchant, other) = (crate::new_id(), crate::new_id());
        let insert =
            |id| format!("insert into merchants (id, name, data_key) values ('{id}', '', '')");
        for polls in 1..4 {
            let mut begin = Box::pin(store.begin());
            for _ in 0..polls {
                if futures::poll!(&mut begin).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(begin);
        }
        let mut db = store.pool.acquire().await.expect("the connection");
        run(&mut db, &insert(merchant)).await;
        let mut watcher = connect(&url).await;
        let names = texts(&mut watcher, "select id::text from merchants").await;
        assert_eq!(names, [merchant.to_string()], "committed by itself");
        drop(db);
        let mut tx = store.begin().await.expect("a transaction");
        run(&mut tx, &insert(other)).await;
        drop(tx);
        let mut db = store.pool.acquire().await.expect("the connection");
        let names = texts(&mut db, "select id::text from merchants").await;
        assert_eq!(names, [merchant.to_string()], "rolled back");
    }
}
