//! Masks of personal data in events.

use crate::payer::Payer;

/// Masks a name: `Maria da Silva` → `M**** d* S****`.
pub fn name(name: &str) -> String {
    name.split_whitespace()
        .map(|word| {
            let mut letters = word.chars();
            let first: String = letters.next().into_iter().collect();
            first + &"*".repeat(letters.count())
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Masks an email address: `maria@example.com` → `m****@example.com`.
pub fn email(email: &str) -> String {
    match email.split_once('@') {
        Some((user, host)) => {
            let first: String = user.chars().take(1).collect();
            format!("{first}****@{host}")
        }
        None => "****".to_owned(),
    }
}

/// A payer in an event, with its personal data masked.
#[derive(
    Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct MaskedPayer {
    pub name: String,
    pub document: String,
    pub email: Option<String>,
}

impl From<&Payer> for MaskedPayer {
    fn from(payer: &Payer) -> Self {
        Self {
            name: name(&payer.name),
            document: payer.document.masked(),
            email: payer.email.as_deref().map(email),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_mask_leaves_initials_only() {
        assert_eq!(super::name("Íris da  Silva"), "Í*** d* S****");
        assert_eq!(super::email("maria@example.com"), "m****@example.com");
        assert_eq!(super::email("broken"), "****");
    }
}
