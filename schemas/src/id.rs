//! Typed identifiers: a UUID version 7 in the database, a prefixed sortable text in the API (`ch_01j9…`).

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use ulid::Ulid;
use uuid::Uuid;

/// Error for a text that is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that starts with `{prefix}_` followed by 26 characters")]
pub struct InvalidId {
    prefix: &'static str,
}

fn encode(prefix: &str, id: Uuid) -> String {
    let text = Ulid::from(id.as_u128()).to_string().to_lowercase();
    format!("{prefix}_{text}")
}

fn decode(prefix: &'static str, text: &str) -> Result<Uuid, InvalidId> {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .filter(|rest| rest.len() == 26 && rest.chars().all(|c| !c.is_ascii_uppercase()))
        .and_then(|rest| Ulid::from_string(&rest.to_uppercase()).ok())
        .map(|ulid| Uuid::from_u128(u128::from(ulid)))
        .ok_or(InvalidId { prefix })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Returns the UUID, as the database stores it.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&encode($prefix, self.0))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                decode($prefix, text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": concat!("^", $prefix, "_[0-9a-hjkmnp-tv-z]{26}$"),
                })
            }
        }
    )+};
}

ids! {
    /// Id of a merchant.
    MerchantId = "mer";
    /// Id of an API key (the record, not the secret).
    ApiKeyId = "key";
    /// Id of a connection: a merchant's account at a gateway.
    ConnectionId = "gc";
    /// Id of a payer.
    PayerId = "pa";
    /// Id of a charge.
    ChargeId = "ch";
    /// Id of an attempt: one try of a charge on one connection.
    AttemptId = "at";
    /// Id of a payment.
    PaymentId = "py";
    /// Id of a refund.
    RefundId = "re";
    /// Id of a dispute.
    DisputeId = "dp";
    /// Id of a version of a routing policy.
    PolicyId = "rp";
    /// Id of a notification from a gateway.
    NotificationId = "no";
    /// Id of an event for a merchant.
    EventId = "ev";
    /// Id of a merchant's webhook endpoint.
    EndpointId = "we";
    /// Id of a delivery: one event for one endpoint.
    DeliveryId = "de";
    /// Id of a delivery attempt: one POST of a delivery.
    DeliveryAttemptId = "da";
}

impl AttemptId {
    /// Returns the reference of this attempt at its gateway: 28 letters and digits, which fits
    /// Efí's `txid` (`^[a-zA-Z0-9]{26,35}$`) and every other gateway's reference field.
    pub fn reference(self) -> String {
        self.to_string().replace('_', "")
    }

    /// Parses a reference that [`Self::reference`] wrote. Returns `None` for a reference of a third party.
    pub fn from_reference(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(Self::PREFIX)?;
        format!("{}_{rest}", Self::PREFIX).parse().ok()
    }
}

impl RefundId {
    /// Returns the reference of this refund at its gateway: 28 letters and digits.
    pub fn reference(self) -> String {
        self.to_string().replace('_', "")
    }

    /// Parses a reference that [`Self::reference`] wrote. Returns `None` for a reference of a third party.
    pub fn from_reference(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(Self::PREFIX)?;
        format!("{}_{rest}", Self::PREFIX).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_survives_the_trip_through_text(raw: u128) {
            let id = AttemptId(Uuid::from_u128(raw));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(AttemptId::from_reference(&id.reference()), Some(id));
        }

        #[test]
        fn ids_sort_as_text_as_they_do_as_uuids(a: u128, b: u128) {
            let (a, b) = (ChargeId(Uuid::from_u128(a)), ChargeId(Uuid::from_u128(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn another_kinds_id_and_a_strangers_reference_are_refused() {
        let charge = ChargeId(Uuid::from_u128(7)).to_string();
        assert!(charge.parse::<AttemptId>().is_err());
        assert!(charge.to_uppercase().parse::<ChargeId>().is_err());
        assert_eq!(
            AttemptId::from_reference("7978c0c97ea847e78e8849634473c1f1"),
            None
        );
    }

    #[test]
    fn an_attempts_reference_fits_a_txid() {
        let reference = AttemptId(Uuid::from_u128(u128::MAX)).reference();
        assert!((26..=35).contains(&reference.len()));
        assert!(reference.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
