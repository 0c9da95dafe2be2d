//! Collection of objects in the order of creation. Each object belongs to an account.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};

use super::{account::Account, errors::ApiError};

/// Object that has an id and belongs to an account in one mode.
pub(super) trait Resource {
    /// Name of the object in Stripe's messages.
    const NAME: &'static str;
    /// Name of the path parameter for the object's id.
    const PARAM: &'static str;
    fn id(&self) -> &str;
    fn account(&self) -> &Account;
    fn created_at(&self) -> DateTime<Utc>;
}

pub(super) struct Collection<T> {
    all: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T: Resource> Collection<T> {
    pub(super) fn put(&mut self, item: T) {
        self.order.push_back(item.id().to_owned());
        self.all.insert(item.id().to_owned(), item);
    }

    /// Deletes the oldest objects in excess of `most`.
    pub(super) fn trim(&mut self, most: usize) {
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front() {
                self.all.remove(&oldest);
            }
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.order.retain(|kept| kept != id);
        self.all.remove(id);
    }

    /// Returns an object of any account.
    pub(super) fn any(&self, id: &str) -> Option<&T> {
        self.all.get(id)
    }

    pub(super) fn any_mut(&mut self, id: &str) -> Option<&mut T> {
        self.all.get_mut(id)
    }

    pub(super) fn find(&self, account: &Account, id: &str) -> Option<&T> {
        self.any(id).filter(|item| item.account() == account)
    }

    /// Returns an object, or refuses an id that this account does not have in this mode.
    pub(super) fn get(&self, account: &Account, id: &str) -> Result<&T, ApiError> {
        self.find(account, id).ok_or_else(|| {
            let other_mode = self
                .any(id)
                .is_some_and(|item| item.account().id == account.id);
            ApiError::absent(T::NAME, T::PARAM, id, other_mode.then_some(account.live))
        })
    }

    pub(super) fn get_mut(&mut self, account: &Account, id: &str) -> Result<&mut T, ApiError> {
        self.get(account, id)?;
        self.all
            .get_mut(id)
            .ok_or_else(|| ApiError::absent(T::NAME, T::PARAM, id, None))
    }

    /// Returns all objects, newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &T> {
        self.order.iter().rev().filter_map(|id| self.all.get(id))
    }

    /// Returns the objects of an account in one mode, newest first.
    pub(super) fn of(&self, account: &Account) -> impl Iterator<Item = &T> {
        self.newest().filter(move |item| item.account() == account)
    }
}
